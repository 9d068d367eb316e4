"""Traces: where an Act spends its time, through all services. OpenTelemetry behind one switch.

Contract: `start_traces` is called before anything that is traced is made, and each such thing asks for the tracer once, when
it is made. Where traces are off nothing of this module runs within a call (but for a rebuild), and nothing of OpenTelemetry
is imported. A batch belongs to many traces: each sampled item has spans of its own for the time it waited (`queue`) and for
the run that it shared.

Failure policy: a collector that is away changes nothing: spans are sent by a thread of their own, and dropped when too many
wait.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from services.runtime.stages import StageTimer

if TYPE_CHECKING:
    from services.runtime.open_telemetry import Tracer

Span = contextlib.AbstractContextManager[Any]
Where = Any  # a place in a trace; None: not sampled
NOTHING: Span = contextlib.nullcontext()
_tracer: "Tracer | None" = None


def start_traces(endpoint: str, *, service: str, ratio: float) -> None:
    """Sends spans to an OTLP collector. ratio: of the traces that begin here, how many are sampled."""
    global _tracer  # noqa: PLW0603 - one exporter per process
    from services.runtime.open_telemetry import Tracer

    _tracer = Tracer(endpoint, service=service, ratio=ratio)


def stop_traces() -> None:
    """Sends the remaining spans and turns traces off."""
    global _tracer  # noqa: PLW0603
    if _tracer:
        _tracer.stop()
    _tracer = None


def tracer() -> "Tracer | None":
    """The tracer of this process; None where traces are off."""
    return _tracer


def span(name: str, **attributes: Any) -> Span:
    """A child of the current span, for rare operations; does nothing if the current span is not sampled."""
    return _tracer.span(name, attributes) if _tracer else NOTHING


def ids() -> tuple[str, str] | None:
    """Ids of the current trace and span, for log events; None outside of a trace."""
    return _tracer.ids() if _tracer else None


def stage_timer() -> Callable[[], StageTimer]:
    """Makes the timer of one Act; where traces are on, each stage is also a span."""
    return partial(_TracedStages, _tracer) if _tracer else StageTimer


class _TracedStages(StageTimer):
    def __init__(self, tracer: "Tracer") -> None:
        super().__init__()
        self._tracer = tracer

    @contextlib.contextmanager
    def stage(self, name: str) -> Any:
        with super().stage(name), self._tracer.span(name, {}):
            yield
