"""The options of the connections that a server of ours accepts.

Contract: `server_options` is the one place of them. A connection on which nothing arrives for SHELM_KEEPALIVE seconds is
pinged, so that networks do not forget it, and closed if the answer takes as long again: what vanished clients hold, as the
place of a watcher, is free after twice that time. A connection older than SHELM_CONNECTION_AGE is told to end: its client
opens another for its next call, at whichever replica a load balancer chooses, and loses none under way; those that last,
as streams do, get SHELM_CONNECTION_GRACE seconds more.
"""

from services.runtime.settings import ServerSettings

Option = tuple[str, int]
MOST_PENDING = (
    16_384  # calls received that wait to be taken up; a few KB each. gRPC drops some beyond, all beyond twice as many
)
# Clients may ping every 10 s, as the shortest interval of gRPC's libraries is, also without calls: by itself gRPC sends away
# whoever pings twice in five minutes.
PINGS: tuple[Option, ...] = (
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)
# Bytes that grow a thousand times when they are unpacked would be unpacked before anybody has looked at them.
UNCOMPRESSED: tuple[Option, ...] = (("grpc.compression_enabled_algorithms_bitset", 1),)
# A connection must get ready in this time. And gRPC counts calls that have just ended as well, and so would refuse its own
# clients, who keep to the number of calls at once that they are told.
BOUNDED: tuple[Option, ...] = (("grpc.server_handshake_timeout_ms", 20_000), ("grpc.http.overload_protection", 0))


def server_options(settings: ServerSettings, *, largest: int | None = None) -> list[Option]:
    """The options of a server. largest: bytes of a request, if less than the setting."""
    size = settings.max_message_bytes
    return [
        ("grpc.max_receive_message_length", min(size, largest or size)),
        ("grpc.max_send_message_length", size),
        ("grpc.so_reuseport", 0),
        ("grpc.server.max_pending_requests", MOST_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", 2 * MOST_PENDING),
        ("grpc.max_concurrent_streams", settings.max_streams),
        *_keepalive(settings.keepalive),
        *PINGS,
        *_age(settings.connection_age, settings.connection_grace),
        *BOUNDED,
        *([] if settings.compression else UNCOMPRESSED),
    ]


def _keepalive(seconds: float) -> list[Option]:
    names = (
        "grpc.keepalive_time_ms",
        "grpc.keepalive_timeout_ms",
        "grpc.http2.ping_timeout_ms",  # without it nothing is noticed for a minute (grpcio 1.85)
    )
    return [*((name, round(seconds * 1000)) for name in names), ("grpc.http2.max_pings_without_data", 0)]


def _age(age: float, grace: float) -> list[Option]:
    if not age:
        return []
    return [("grpc.max_connection_age_ms", round(age * 1000)), ("grpc.max_connection_age_grace_ms", round(grace * 1000))]
