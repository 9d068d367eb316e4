"""A real OTLP collector in the test's own process: what it receives over its socket, as spans by trace."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from support.waiting import wait_for

CLOCK = 1_000_000  # nanoseconds; spans of a queue are timed with another clock than their parents


@dataclass(frozen=True)
class Span:
    """One span as it was received."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int  # nanoseconds since 1970
    end: int
    kind: str
    error: bool
    attributes: dict[str, Any]

    @property
    def queue(self) -> str:
        """Which queue it waited in or ran for."""
        return str(self.attributes.get("shelm.queue", ""))

    def inside(self, other: "Span") -> bool:
        """Whether it took place while the other did."""
        return other.start - CLOCK <= self.start <= self.end <= other.end + CLOCK


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps all spans."""

    target: str = ""
    spans: list[Span] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        """One batch of a service."""
        received = [
            _span(attributes_of(group.resource.attributes)["service.name"], one)
            for group in request.resource_spans
            for scope in group.scope_spans
            for one in scope.spans
        ]
        with self._lock:
            self.spans += received
        return trace_service_pb2.ExportTraceServiceResponse()

    def trace(self, trace_id: str) -> list[Span]:
        """Everything of one trace so far."""
        with self._lock:
            return [span for span in self.spans if span.trace_id == trace_id]

    def wait(self, trace_id: str, count: int) -> list[Span]:
        """The spans of a trace once there are so many."""
        wait_for(f"{count} spans of the trace", lambda: len(self.trace(trace_id)) >= count)
        return self.trace(trace_id)

    def by_trace(self) -> dict[str, list[Span]]:
        """All traces so far."""
        found: dict[str, list[Span]] = defaultdict(list)
        with self._lock:
            for span in self.spans:
                found[span.trace_id].append(span)
        return dict(found)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port of loopback."""
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    collector.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(0)


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Attributes as plain values."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _span(service: str, one: Any) -> Span:
    return Span(
        service=service,
        name=one.name,
        trace_id=one.trace_id.hex(),
        span_id=one.span_id.hex(),
        parent_id=one.parent_span_id.hex(),
        start=one.start_time_unix_nano,
        end=one.end_time_unix_nano,
        kind=trace_pb2.Span.SpanKind.Name(one.kind).removeprefix("SPAN_KIND_"),
        error=one.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        attributes=attributes_of(one.attributes),
    )
