"""The address of the server and the settings of the connection, for both clients."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field

DEFAULT_TARGET = "127.0.0.1:50051"
LOOPBACK = re.compile(r"^(unix:|((dns:/*|ipv[46]:))?(localhost|127(\.\d+){3}|\[::1\])(:|$))")
logger = logging.getLogger("shelm")


@dataclass(frozen=True)
class Settings:
    """The settings of one channel and its calls."""

    target: str
    token: str | None = field(repr=False)
    tls: bool
    timeout: float
    """Timeout of each attempt in seconds."""
    retry_for: float
    """Maximum seconds for all attempts of a call; 0: a single attempt."""

    def __post_init__(self) -> None:
        """Logs a warning if a token would be sent unencrypted."""
        if self.token and not self.tls and not LOOPBACK.match(self.target):
            logger.warning("the token travels unencrypted to %s; use tls=True (--tls)", self.target)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def options(self) -> list[tuple[str, int]]:
        """The channel options."""
        return [
            ("grpc.initial_reconnect_backoff_ms", 100),  # gRPC's own 1 s .. 120 s would outlast the retry budget
            ("grpc.max_reconnect_backoff_ms", 2000),
            # a proxy cannot reach this machine's loopback
            ("grpc.enable_http_proxy", 0 if LOOPBACK.match(self.target) else 1),
        ]
