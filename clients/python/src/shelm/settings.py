"""The address of the server and the settings of the connection, for both clients."""

from __future__ import annotations

import logging
import math
import re
import sys
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import grpc

from shelm.boundary import invalid
from shelm.channel import channel_options
from shelm.tls import Tls, credentials_of

DEFAULT_TARGET = "127.0.0.1:50051"
LOOPBACK = re.compile(r"^(unix:|((dns:/*|ipv[46]:))?(localhost|127(\.\d+){3}|\[::1\])(:|$))")
RESOLVED = ("dns", "unix", "unix-abstract", "vsock", "ipv4", "ipv6", "xds", "google-c2p", "passthrough")  # gRPC's schemes
SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
PORT = re.compile(r"^[^:\[\]\s]+:(\d+)$|^\[[0-9A-Fa-f:.%\w]+\]:(\d+)$")
BARE_IPV6 = re.compile(r"^([0-9A-Fa-f]*:[0-9A-Fa-f:.]*):(\d+)$")
logger = logging.getLogger("shelm")


@dataclass(frozen=True)
class Settings:
    """The settings of one channel and its calls."""

    target: str
    token: str | None = field(repr=False)
    tls: Tls
    """What `shelm.tls` says."""
    timeout: float
    """Timeout of each attempt in seconds."""
    retry_for: float
    """Maximum seconds for all attempts of a call; 0: a single attempt."""
    credentials: grpc.ChannelCredentials | None = field(init=False, repr=False, compare=False)
    """Of the channel; None without TLS."""

    def __post_init__(self) -> None:
        """Raises InvalidArgument for values that no call could use; logs a warning if a token would be sent unencrypted."""
        _check_target(self.target)
        object.__setattr__(self, "credentials", credentials_of(self.tls))
        _check_seconds("timeout", self.timeout, least=math.ulp(0.0))
        _check_seconds("retry_for", self.retry_for, least=0.0)
        if self.token and self.credentials is None and not LOOPBACK.match(self.target):
            logger.warning("the token travels unencrypted to %s; use tls=True (--tls)", self.target)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def options(self) -> list[tuple[str, int]]:
        """The channel options."""
        # a proxy cannot reach this machine's loopback
        return [*channel_options(), ("grpc.enable_http_proxy", 0 if LOOPBACK.match(self.target) else 1)]


def _check_target(target: str) -> None:
    """Raises InvalidArgument for what gRPC would look up in vain, or on another port than is meant."""
    if not isinstance(target, str) or not target or any(map(str.isspace, target)):
        raise invalid("target", f"expected host:port, given {target!r}")
    if (scheme := SCHEME.match(target)) and scheme[1].lower() not in RESOLVED:
        plain = target[scheme.end() :].split("/", 1)[0]
        tls = " and tls=True (--tls)" if scheme[1].lower() in ("https", "grpcs") else ""
        raise invalid("target", f"expected host:port, given {target!r}; gRPC has no URLs: write {plain!r}{tls}")
    if target.partition(":")[0] in RESOLVED and not target.split(":", 1)[1].isdecimal():
        return  # a name of gRPC's own kind
    if bare := BARE_IPV6.match(target):
        raise invalid("target", f"an IPv6 address needs brackets, given {target!r}; write '[{bare[1]}]:{bare[2]}'")
    port = PORT.match(target)
    if ":" in target and not (port and 0 < int(port[1] or port[2]) < 2**16):
        raise invalid("target", f"expected host:port with a port 1..65535, given {target!r}")


def _check_seconds(name: str, value: Any, *, least: float) -> None:
    longest = sys.float_info.max if least else math.inf  # retries may go on for ever, an attempt may not
    if not isinstance(value, Real) or not least <= float(value) <= longest:
        raise invalid(name, f"expected {'0 or more' if not least else 'more than 0'} seconds, given {value!r}")
