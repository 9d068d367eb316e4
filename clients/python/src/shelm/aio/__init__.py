"""The client for asyncio: the same methods, guarantees and errors as `shelm.Client`, over grpc.aio.

Requests, conversions, the pace of retries and the count of steps are the sync client's own modules; only what waits
is written here again.
"""

from shelm.aio.client import AsyncClient
from shelm.aio.episode import AsyncEpisode

__all__ = ["AsyncClient", "AsyncEpisode"]
