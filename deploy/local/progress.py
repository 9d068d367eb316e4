"""How far the start of the services has come.

Contract: a service is ready when its health says so, a process without gRPC when it listens; what was ready once is not
asked again. Failure policy: whatever cannot be reached is not ready.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Mapping

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

STILL_EVERY = 15.0  # seconds between two lines about services that still start
AGAIN_MS = 200  # between two attempts to connect
LAST, APART = "policy", ("inspector",)  # policy is ready once all others are, but for the inspector
_PLAIN = ("redis", "inspector")  # processes without gRPC


class Progress:
    """Looks which processes are ready, and tells each once."""

    def __init__(
        self,
        addresses: Mapping[str, str],
        say: Callable[[str], None],
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """addresses: HOST:PORT of each process, in the order of their start. say: told a line for each that is ready.
        credentials: of services with TLS.
        """
        self._addresses, self._say = addresses, say
        plain, again = _PLAIN, [(f"grpc.{which}_reconnect_backoff_ms", AGAIN_MS) for which in ("initial", "min", "max")]
        self._channels = {
            name: grpc.secure_channel(one, credentials, again) if credentials else grpc.insecure_channel(one, again)
            for name, one in addresses.items()
            if name not in plain
        }
        self._ready: dict[str, None] = {}
        self._began, self._told = time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    @property
    def waiting(self) -> list[str]:
        """What is not ready yet."""
        return [name for name in self._addresses if name not in self._ready]

    def look(self) -> Mapping[str, None]:
        """Returns what is or was ready."""
        ready = [name for name in self.waiting if self._is_ready(name)]
        if LAST in ready:  # it needs the others, whose own answers may come a moment later
            ready = [name for name in self.waiting if name in ready or name not in APART]
        for name in ready:
            self._ready[name] = None
            self._say(f"{name} is ready after {self.seconds:.1f} s")
        if self.waiting and self.seconds - self._told >= STILL_EVERY:
            self._told = self.seconds
            self._say(f"still starting after {self.seconds:.0f} s: {', '.join(self.waiting)}")
        return self._ready

    def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels.values():
            channel.close()

    def _is_ready(self, name: str) -> bool:
        if name in _PLAIN:
            host, _, port = self._addresses[name].rpartition(":")
            with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=1):
                return True
            return False
        stub = health_pb2_grpc.HealthStub(self._channels[name])
        with contextlib.suppress(grpc.RpcError):
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
        return False
