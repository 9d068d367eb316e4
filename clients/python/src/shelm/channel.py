"""The connection to a server: the options of its channel, and when a channel is given up for a new one.

Every client of this project uses these: `Client`, `AsyncClient`, and the servers where they call each other or Triton.

Contract: a connection on which nothing arrives for `KEEPALIVE` seconds is pinged, also between calls, and given up if the
answer takes longer than `PATIENCE`: a load balancer that has forgotten a connection closes nothing, and what is sent into it
is lost. Calls under way then fail with UNAVAILABLE, as may one that begins while gRPC is still writing to that connection;
later ones connect anew. Where something on the way answers pings but no calls, `Silence` tells when to open another channel.
"""

from __future__ import annotations

import time
from typing import cast

import grpc

KEEPALIVE, PATIENCE = 10.0, 10.0  # seconds; servers of ours take pings every 5 s or less often
SILENT_CALLS = 2  # deadlines one after another
SILENT_SECONDS = 5.0  # without any answer, so that short deadlines at a slow server do not open one channel after another


def channel_options(*, reconnect: float = 2.0) -> list[tuple[str, int]]:
    """Returns the options of a channel. reconnect: longest delay in seconds between two tries to connect."""
    return [
        ("grpc.initial_reconnect_backoff_ms", 100),  # gRPC's own 1 s .. 120 s would outlast the retries of a call
        ("grpc.max_reconnect_backoff_ms", round(reconnect * 1000)),
        ("grpc.keepalive_time_ms", round(KEEPALIVE * 1000)),
        ("grpc.keepalive_timeout_ms", round(PATIENCE * 1000)),
        # What newer versions of gRPC go by, instead of the line above; by themselves they wait for a minute or longer.
        ("grpc.http2.ping_timeout_ms", round(PATIENCE * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),  # no limit: gRPC by itself pings twice at most while nothing is sent
        # Otherwise a new channel to the same address would get the old connection.
        ("grpc.use_local_subchannel_pool", 1),
    ]


class Silence:
    """Counts the calls of one channel that ended without a sign of the server. Safe for threads: a lost count delays."""

    def __init__(self) -> None:
        """Begins with a channel that has just been opened."""
        self._heard = self._counted = time.monotonic()
        self._calls = 0

    def answered(self) -> None:
        """Notes that something came from the server."""
        self._heard, self._calls = time.monotonic(), 0

    def failed(self, error: grpc.RpcError, began: float) -> bool:
        """Notes that a call failed which began then (`time.monotonic`); returns whether the channel should be replaced."""
        call = cast(grpc.Call, error)  # what grpc raises is both
        if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED and not call.trailing_metadata():
            return self.passed(began)
        if call.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):  # which gRPC itself gives as well
            self.answered()
        return False

    def passed(self, began: float) -> bool:
        """The same for a call whose deadline passed in silence. Calls that waited beside each other count once."""
        now = time.monotonic()
        if began >= self._counted:
            self._counted, self._calls = now, self._calls + 1
        return self._calls >= SILENT_CALLS and now - self._heard >= SILENT_SECONDS
