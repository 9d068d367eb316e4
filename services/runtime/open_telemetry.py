"""The tracer behind `services.runtime.traces`; imported only where traces are on.

A call carries its trace as W3C says, in the metadata `traceparent`. A call with a batch of items carries as many traces as
it has sampled items, and says so in `shelm-traceparents`: `INDEX=TRACEPARENT[,INDEX=TRACEPARENT...]`. That key, also with
nothing in it, tells the callee that the sampling is done. At most `MOST_ITEMS` are named, because metadata must stay small;
the traces of further items of a batch lack the callee's spans.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AnyValue

Span = contextlib.AbstractContextManager[Any]
Metadata = tuple[tuple[str, str], ...]  # of a gRPC call
NOTHING: Span = contextlib.nullcontext()
ITEMS_KEY = "shelm-traceparents"
MOST_ITEMS = 64  # of 60 bytes each
EXPORT_SECONDS = 2.0  # for one attempt
STOP_SECONDS = 2.0
_W3C = TraceContextTextMapPropagator()
_came_in: ContextVar[dict[int, Context]] = ContextVar("came_in")  # index of an item -> its trace
_running: ContextVar[Sequence[Context | None]] = ContextVar("running", default=())  # place in the batch -> its run's span


class Tracer:
    """Makes spans and sends them."""

    def __init__(self, endpoint: str, *, service: str, ratio: float) -> None:
        # Its warnings tell of every attempt; that spans are lost is an error, told once a minute.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)
        resource = Resource.create(
            {
                "service.namespace": "shelm",
                "service.name": service,
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            }
        )
        sampler = ParentBased(TraceIdRatioBased(ratio))
        self._provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        insecure = not endpoint.startswith("https://")
        exporter = OTLPSpanExporter(endpoint, insecure=insecure, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._spans = self._provider.get_tracer("shelm")

    def stop(self) -> None:
        """Sends the remaining spans, waiting STOP_SECONDS at most."""
        # The SDK itself would wait for half a minute.
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(STOP_SECONDS)

    def server(self, method: str, metadata: Mapping[str, Any]) -> Span:
        """The span of a call that came in; its metadata names the trace."""
        if ITEMS_KEY in metadata:
            _came_in.set(dict(_read_items(str(metadata[ITEMS_KEY]))))
            return NOTHING
        service, _, name = method.lstrip("/").partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        return self._current(method.lstrip("/"), attributes, SpanKind.SERVER, _W3C.extract(metadata))

    def listen(self, metadata: Mapping[str, Any]) -> None:
        """For a stream: everything that comes in over it belongs to the trace named by its metadata, if any."""
        contexts.attach(_W3C.extract(metadata))  # of the call's own task, which ends with it

    def begin(self, name: str, attributes: dict[str, Any]) -> Span:
        """A child of the current span, or the first of a trace."""
        known = trace.get_current_span().get_span_context()
        return NOTHING if known.is_valid and not known.trace_flags.sampled else self._current(name, attributes)

    def span(self, name: str, attributes: dict[str, Any]) -> Span:
        """A child of the current span; nothing if that is not sampled."""
        return self._current(name, attributes) if _sampled() else NOTHING

    def item(self, index: int, method: str) -> Span:
        """The span of one item of a batched call that came in; it continues the item's own trace."""
        parent = _came_in.get({}).get(index)
        return self._current(method.lstrip("/"), {}, SpanKind.SERVER, parent) if parent else NOTHING

    def note(self, attributes: dict[str, Any]) -> None:
        """Adds attributes to the current span."""
        trace.get_current_span().set_attributes(attributes)

    def fail(self, reason: str, *, fault: bool) -> None:
        """Marks the current span with the reason of an error. fault: the server is to blame, not the caller."""
        current = trace.get_current_span()
        current.set_attribute("shelm.reason", reason)
        if fault:
            current.set_status(Status(StatusCode.ERROR, reason))

    def here(self) -> Context | None:
        """The current place in the trace, for spans that are made elsewhere later; None if it is not sampled."""
        return contexts.get_current() if _sampled() else None

    def waited(self, where: Context, name: str, since: float, until: float) -> None:
        """The time an item waited in the queue `name`; of `time.monotonic`."""
        start, end = _wall_clock(since), _wall_clock(until)
        self._spans.start_span("queue", where, attributes={"shelm.queue": name}, start_time=start).end(end)

    @contextlib.contextmanager
    def run(self, places: Sequence[Context | None], name: str, method: str) -> Iterator[None]:
        """One run for many items. name: of the queue. method: of the remote call that it makes, if it makes one."""
        kind = SpanKind.CLIENT if method else SpanKind.INTERNAL
        shared: dict[str, AnyValue] = {"shelm.queue": name, "shelm.batch_size": len(places)}
        own = [self._spans.start_span(method or "run", one, kind, shared) if one else None for one in places]
        token = _running.set([trace.set_span_in_context(span) if span else None for span in own])
        spans = [span for span in own if span]
        try:
            yield
        except Exception as error:
            for span in spans:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            _running.reset(token)
            for span in spans:
                span.end()

    def carry(self, places: Iterable[int]) -> Metadata:
        """Inside a run: metadata for a call with these of its items."""
        running = _running.get()
        sampled = [(i, running[place]) for i, place in enumerate(places) if place < len(running) and running[place]]
        named = [f"{i}={_traceparent(where)}" for i, where in sampled[:MOST_ITEMS]]
        return ((ITEMS_KEY, ",".join(named)),)

    def outgoing(self) -> Metadata:
        """Metadata for a call that belongs to the current span alone."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return tuple(carrier.items())

    def ids(self) -> tuple[str, str] | None:
        """Ids of the current trace and span, for log events; None outside of a trace."""
        known = trace.get_current_span().get_span_context()
        return (trace.format_trace_id(known.trace_id), trace.format_span_id(known.span_id)) if known.is_valid else None

    def _current(
        self, name: str, attributes: dict[str, Any], kind: SpanKind = SpanKind.INTERNAL, parent: Context | None = None
    ) -> Span:
        # Exceptions are not recorded: they carry tracebacks and what the caller sent.
        return self._spans.start_as_current_span(
            name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
        )


def _sampled() -> bool:
    return trace.get_current_span().get_span_context().trace_flags.sampled


def _traceparent(where: Context | None) -> str:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, where)
    return carrier["traceparent"]


def _read_items(text: str) -> Iterator[tuple[int, Context]]:
    for one in text.split(",")[:MOST_ITEMS]:
        index, _, traceparent = one.partition("=")
        if index.isdecimal() and len(index) < 10:
            yield int(index), _W3C.extract({"traceparent": traceparent})


def _wall_clock(moment: float) -> int:
    """A time of `time.monotonic` in nanoseconds since 1970."""
    return time.time_ns() - int((time.monotonic() - moment) * 1e9)
