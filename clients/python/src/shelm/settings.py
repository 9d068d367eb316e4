"""Where the server is and how to talk to it, for both clients."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field

DEFAULT_TARGET = "127.0.0.1:50051"
LOOPBACK = re.compile(r"^(unix:|((dns:/*|ipv[46]:))?(localhost|127(\.\d+){3}|\[::1\])(:|$))")
logger = logging.getLogger("shelm")


@dataclass(frozen=True)
class Settings:
    """What one channel and its calls need to know."""

    target: str
    token: str | None = field(repr=False)
    tls: bool
    timeout: float
    """Seconds for each attempt."""
    retry_for: float
    """Seconds for all attempts of a call; 0: one attempt."""

    def __post_init__(self) -> None:
        """Warns of a token that would travel in clear text."""
        if self.token and not self.tls and not LOOPBACK.match(self.target):
            logger.warning("the token travels unencrypted to %s; use tls=True (--tls)", self.target)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def options(self) -> list[tuple[str, int]]:
        """How the channel behaves."""
        return [
            ("grpc.initial_reconnect_backoff_ms", 100),  # gRPC's own 1 s .. 120 s would outlast the retry budget
            ("grpc.max_reconnect_backoff_ms", 2000),
            # a proxy cannot reach this machine's loopback
            ("grpc.enable_http_proxy", 0 if LOOPBACK.match(self.target) else 1),
        ]
