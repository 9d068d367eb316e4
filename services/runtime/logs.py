"""Logs: one line, or one JSON object, per event on standard error.

Contract: `configure_logging` decides the form for the whole process. Inside a call that has said so with `in_episode`, every
event of the call names its episode and step; where traces are on, its trace and span. Tokens and frames are never logged.
"""

import logging
import time
from collections.abc import Hashable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from services.runtime import traces

LogFormat = Literal["text", "json"]
_episode: ContextVar[tuple[str, int] | None] = ContextVar("episode", default=None)


def in_episode(episode_id: str, step: int) -> None:
    """From now on, log events of this asyncio task name this episode and step."""
    _episode.set((episode_id, step))


class Sparse:
    """Logs what may fail a thousand times a second: each kind of event at most once in `every` seconds.

    most: kinds that are told apart; beyond them all begin afresh, so that kinds named by clients take no memory.
    """

    def __init__(self, log: logging.Logger, *, every: float = 10.0, most: int = 1000) -> None:
        self._log, self._every, self._most = log, every, most
        self._kinds: dict[Hashable, tuple[float, int]] = {}  # until when it is quiet, and how many were held back

    def error(self, kind: Hashable, text: str, error: BaseException | None = None) -> None:
        """Logs an event with the traceback of `error`, unless one of its kind was logged just now."""
        self._event(logging.ERROR, kind, text, error)

    def warning(self, kind: Hashable, text: str) -> None:
        """Does the same with a warning."""
        self._event(logging.WARNING, kind, text, None)

    def _event(self, level: int, kind: Hashable, text: str, error: BaseException | None) -> None:
        now = time.monotonic()
        quiet_until, held = self._kinds.get(kind, (0.0, 0))
        if now < quiet_until:
            self._kinds[kind] = quiet_until, held + 1
            return
        if len(self._kinds) >= self._most:
            self._kinds.clear()
        self._kinds[kind] = now + self._every, 0
        more = f" (and {held} more since the last such line)" if held else ""
        self._log.log(level, "%s%s", text, more, exc_info=error)


def configure_logging(service: str, level: str, log_format: LogFormat = "text") -> None:
    """Sends all log events, and what libraries report with `warnings`, to standard error."""
    logging.captureWarnings(True)
    form = f"%(asctime)s {service} %(levelname)s %(name)s: %(message)s"
    handler = logging.StreamHandler()
    handler.setFormatter(_json_formatter(service) if log_format == "json" else logging.Formatter(form))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("grpc").setLevel(max(logging.INFO, logging.getLevelName(level)))  # it tells of every call
    logging.getLogger("grpc._cython.cygrpc").addFilter(_no_header)


def _no_header(record: logging.LogRecord) -> bool:
    """gRPC logs each header that is no UTF-8, with a traceback: anybody could fill the log, and a token with a typing error
    be in it.
    """
    return not record.getMessage().startswith("Invalid encoding on ")


def _json_formatter(service: str) -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter  # what runs inside Triton does without it

    class Formatter(JsonFormatter):
        def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
            time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
            log_data.update(time=time, service=service, level=record.levelname, logger=record.name)
            super().add_fields(log_data, record, message_dict)
            log_data.update(_context())

    return Formatter(["message"])


def _context() -> dict[str, Any]:
    found: dict[str, Any] = {}
    if episode := _episode.get():
        found["episode_id"], found["step"] = episode
    if ids := traces.ids():
        found["trace_id"], found["span_id"] = ids
    return found
