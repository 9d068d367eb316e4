"""Traces: what an Act spends its time on, through all services. OpenTelemetry behind one switch.

Contract: until `start_traces` is called every function here does nothing and nothing of OpenTelemetry is imported. `span`
makes children of a sampled span only; `server` and `begin` may begin a trace. A batch belongs to many traces: each sampled
item has spans of its own for the time it waited (`queue`) and for the run that it shared.

Failure policy: a collector that is away changes nothing: spans are sent by a thread of their own, and dropped when too many
wait.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.runtime.open_telemetry import OpenTelemetry

Span = contextlib.AbstractContextManager[Any]
Where = Any  # a place in a trace; None: not sampled
Metadata = tuple[tuple[str, str], ...]  # of a gRPC call
NOTHING: Span = contextlib.nullcontext()
_on: "OpenTelemetry | None" = None


def start_traces(endpoint: str, *, service: str, ratio: float) -> None:
    """Sends spans to an OTLP collector. ratio: of the traces that begin here, how many are sampled."""
    global _on  # noqa: PLW0603 - one exporter per process
    from services.runtime.open_telemetry import OpenTelemetry

    _on = OpenTelemetry(endpoint, service=service, ratio=ratio)


def stop_traces() -> None:
    """Sends what is left, for a moment at most."""
    global _on  # noqa: PLW0603
    if _on:
        _on.stop()
    _on = None


def server(method: str, metadata: Mapping[str, Any]) -> Span:
    """A call that has come in; its metadata says which trace it belongs to."""
    return _on.server(method, metadata) if _on else NOTHING


def listen(metadata: Mapping[str, Any]) -> None:
    """For a stream: what comes in over it belongs to the trace of its metadata, if there is one."""
    if _on:
        _on.listen(metadata)


def begin(name: str, **attributes: Any) -> Span:
    """A child of the current span, or the first of a trace."""
    return _on.begin(name, attributes) if _on else NOTHING


def span(name: str, **attributes: Any) -> Span:
    """A child of the current span; nothing if that is not sampled."""
    return _on.span(name, attributes) if _on else NOTHING


def item(index: int, method: str) -> Span:
    """One item of a call that has come in with many; its own trace goes on."""
    return _on.item(index, method) if _on else NOTHING


def note(**attributes: Any) -> None:
    """Adds to the current span."""
    if _on:
        _on.note(attributes)


def fail(reason: str, *, fault: bool) -> None:
    """The current span ends with a refusal. fault: of the server, not of the caller."""
    if _on:
        _on.fail(reason, fault=fault)


def here() -> Where:
    """Where later spans belong that are made elsewhere."""
    return _on.here() if _on else None


def waited(where: Where, name: str, since: float, until: float) -> None:
    """The time an item waited in the queue `name`; of `time.monotonic`."""
    if _on and where:
        _on.waited(where, name, since, until)


def run(places: Sequence[Where], name: str, method: str) -> Span:
    """One run for many items. name: of the queue. method: of the remote call that the run makes, if it makes one."""
    return _on.run(places, name, method) if _on else NOTHING


def carry(places: Iterable[int]) -> Metadata:
    """Inside a run: metadata for a call with these of its items."""
    return _on.carry(places) if _on else ()


def outgoing() -> Metadata:
    """Metadata for a call that belongs to the current span alone."""
    return _on.outgoing() if _on else ()


def ids() -> tuple[str, str] | None:
    """Trace and span as the logs name them."""
    return _on.ids() if _on else None
