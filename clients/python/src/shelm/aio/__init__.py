"""The client for asyncio, with the same methods, guarantees and errors as `shelm.Client`, over grpc.aio.

All modules that wait are written here: `make client` generates the synchronous modules of the same names from them. Only
`primitives` is written twice.
"""

from __future__ import annotations

from shelm.aio.client import AsyncClient
from shelm.aio.episode import AsyncEpisode

__all__ = ["AsyncClient", "AsyncEpisode"]
