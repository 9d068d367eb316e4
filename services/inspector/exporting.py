"""`Exports`: an episode as a file for the viewer, made by a process of its own (exporter.py), so that no Act waits for it.

Contract: at most AT_ONCE files are made or sent at a time, each within MAKE_WITHIN and SEND_WITHIN seconds; the process ends
when the viewer has gone. The file is deleted when it is sent.

Failure policy: what the API refuses is raised as it came; beyond AT_ONCE RESOURCE_EXHAUSTED (QUEUE_FULL), too slow DEADLINE,
a format whose package is not installed UNIMPLEMENTED. A process that fails otherwise is logged, and INTERNAL.
"""

import asyncio
import contextlib
import importlib.util
import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc
from shelm.v1 import errors_pb2
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from services.inspector.exporter import FORMATS, Order
from services.protocol.reasons import failure
from services.runtime.errors import ServiceError, invalid
from services.runtime.tls import TlsFiles

log = logging.getLogger(__name__)
AT_ONCE = 2
MAKE_WITHIN, SEND_WITHIN = 300.0, 120.0  # seconds
LOOK = 0.5  # seconds between two looks whether the viewer is still there
MOST_FPS = 60
BEARER = "Bearer "


def offered() -> list[str]:
    """The formats whose packages are installed."""
    return [name for name, one in FORMATS.items() if not one.needs or importlib.util.find_spec(one.needs)]


class Exports:
    """Makes files. target, tls: of the public API."""

    def __init__(self, target: str, tls: TlsFiles | None) -> None:
        self._target, self._tls = target, _paths(tls)
        self._offered = offered()
        self._running = 0

    async def answer(self, request: Request, authorization: str, *, episode_id: str, format_: str, fps: int) -> Response:
        """Makes the file and answers it."""
        self._check(format_, fps)
        self._running += 1
        folder = tempfile.mkdtemp(prefix="shelm-export-")
        done = contextlib.ExitStack()
        done.callback(self._leave, folder)
        path = Path(folder) / f"episode.{format_}"
        token = authorization.removeprefix(BEARER)
        order = Order(self._target, token, self._tls, episode_id, format_, fps, str(path))
        with contextlib.ExitStack() as kept:
            kept.push(done)
            await _obeyed(order, request)
            kept.pop_all()
        return _Sent(path, f"{episode_id}.{format_}", FORMATS[format_].media_type, done)

    def _check(self, format_: str, fps: int) -> None:
        if format_ not in FORMATS:
            raise invalid("format", f"expected one of {', '.join(FORMATS)}, got {format_[:40]!r}")
        if format_ not in self._offered:
            text = f"{format_} needs the Python package {FORMATS[format_].needs}, which this inspector lacks"
            raise ServiceError(grpc.StatusCode.UNIMPLEMENTED, "", text)
        if not 1 <= fps <= MOST_FPS:
            raise invalid("fps", f"expected 1 .. {MOST_FPS} steps a second, got {fps}")
        if self._running >= AT_ONCE:
            text = f"{AT_ONCE} files are being made already; retry later"
            raise failure(errors_pb2.ERROR_REASON_QUEUE_FULL, text, retry_after=5)

    def _leave(self, folder: str) -> None:
        self._running -= 1
        shutil.rmtree(folder, ignore_errors=True)


async def _obeyed(order: Order, request: Request) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.inspector.exporter"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    answering = asyncio.create_task(process.communicate(order.to_text().encode()))
    try:
        async with asyncio.timeout(MAKE_WITHIN):
            while not (await asyncio.wait({answering}, timeout=LOOK))[0]:
                if await request.is_disconnected():
                    raise ServiceError(grpc.StatusCode.CANCELLED, "", "the viewer has gone")
    except TimeoutError:
        text = f"the file was not made within {MAKE_WITHIN:.0f} s; `shelm export` has no such limit"
        raise failure(errors_pb2.ERROR_REASON_DEADLINE, text) from None
    finally:
        if process.returncode is None:
            process.kill()
    out, problem = await answering
    if process.returncode == 1 and out:
        raise _told(json.loads(out))
    if process.returncode:
        log.error("an export ended with %s: %s", process.returncode, problem.decode(errors="replace")[-2000:])
        raise failure(errors_pb2.ERROR_REASON_INTERNAL, "the file could not be made; the inspector's log tells more")


def _told(error: dict[str, Any]) -> ServiceError:
    code, reason = grpc.StatusCode[error["code"]], error["reason"]
    return ServiceError(code, reason, error["message"], retry_after=error["retry_after"])


def _paths(tls: TlsFiles | None) -> Any:
    """Returns what shelm.Client takes for the same."""
    if tls is None:
        return False
    return [tls.authority, tls.certificate, tls.key] if tls.certificate else tls.authority


class _Sent(FileResponse):
    """A file on its way; `done` is closed when it is sent or the viewer has gone."""

    def __init__(self, path: Path, name: str, media_type: str, done: contextlib.ExitStack) -> None:
        super().__init__(path, filename=name, media_type=media_type, headers={"Cache-Control": "no-store"})
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._done, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEND_WITHIN):
                await super().__call__(scope, receive, send)
