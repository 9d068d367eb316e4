"""The events that a viewer of one episode receives: its past steps, then each step as it is committed.

Events: `steps` (a list of steps, in order, without repetitions), `caught_up` (all steps committed earlier have been sent),
`end` (the episode, or null if it has expired), `error` (as in errors.py; the page reconnects at the step it has reached).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable

import grpc
from shelm.v1 import agent_pb2

from services.inspector.api import PublicApi
from services.inspector.convert import episode_json, step_json, to_text
from services.inspector.errors import error_json
from services.inspector.watching import Watch, Watches
from services.runtime.errors import ServiceError

PAGE = 500  # steps of the past in one event
PACE = 0.1  # seconds between two events, so that steps in quick succession share one


def event(name: str, data: str) -> bytes:
    """Formats one server-sent event; data is JSON on one line."""
    return f"event: {name}\ndata: {data}\n\n".encode()


async def episode_events(
    api: PublicApi, watches: Watches, episode: agent_pb2.Episode, first: int, authorization: str
) -> AsyncGenerator[bytes, None]:
    """Yields the events of an episode that this viewer may read, from step `first` on."""
    try:
        async with contextlib.AsyncExitStack() as stack:
            watch = None if episode.ended else await stack.enter_async_context(watches.join(episode, authorization))
            reader = _Reader(api, episode, first, authorization)
            async for part in _past(reader, watch):
                yield part
            yield event("caught_up", "null")
            while watch:
                ended = watch.done  # read before the steps: steps that arrive in between are sent in the next iteration
                if lines := await reader.more(watch):
                    yield _steps(lines)
                elif ended:
                    break
                await asyncio.sleep(PACE)
                await watch.reach(reader.next)
            if watch and watch.error:
                raise watch.error
        yield event("end", await _ending(api, episode, authorization))
    except ServiceError as error:
        yield event("error", to_text(error_json(error)))


class _Reader:
    """The position of one viewer in an episode."""

    def __init__(self, api: PublicApi, episode: agent_pb2.Episode, first: int, authorization: str) -> None:
        self._api, self._episode, self._authorization = api, episode, authorization
        self.next = first

    async def page(self) -> list[str]:
        """Returns the next steps, read with GetMemory; empty if there are none."""
        name, incarnation = self._episode.episode_id, self._episode.incarnation
        steps = await self._api.memory(name, self.next, PAGE, self._authorization, incarnation=incarnation)
        if steps:
            self.next = steps[-1].step + 1
        return [to_text(step_json(step)) for step in steps]

    async def more(self, watch: Watch) -> list[str]:
        """Returns the next steps, from the watch if it still holds them."""
        found = watch.since(self.next)
        if found is None:
            lines = await self.page()
            self.next = self.next if lines else watch.oldest  # those in between are no longer retained
            return lines
        lines, self.next = found
        return lines


async def _past(reader: _Reader, watch: Watch | None) -> AsyncGenerator[bytes, None]:
    while watch is None or watch.since(reader.next) is None:
        lines = await reader.page()
        if not lines:
            return
        yield _steps(lines)


async def _ending(api: PublicApi, episode: agent_pb2.Episode, authorization: str) -> str:
    try:
        now = await api.episode(episode.episode_id, authorization)
        return to_text(episode_json(now)) if now.incarnation == episode.incarnation else "null"
    except ServiceError as error:
        if error.code is grpc.StatusCode.NOT_FOUND:
            return "null"
        raise


def _steps(lines: Iterable[str]) -> bytes:
    return event("steps", f"[{','.join(lines)}]")
