"""The client for asyncio: the same methods, guarantees and errors as `shelm.Client`, over grpc.aio.

All that waits is written here, once: `make client` generates the synchronous modules of the same names from these. Only
`primitives` is written twice.
"""

from __future__ import annotations

from shelm.aio.client import AsyncClient
from shelm.aio.episode import AsyncEpisode

__all__ = ["AsyncClient", "AsyncEpisode"]
