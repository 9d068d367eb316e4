"""Viewers of one episode: they share one reading, and none misses a step."""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from shelm.v1 import agent_pb2, agent_pb2_grpc

from services.inspector import watching
from services.inspector.api import PublicApi
from services.inspector.events import episode_events
from services.inspector.watching import RECENT, Watches


class Standing(agent_pb2_grpc.AgentServiceServicer):
    """A public API of one endless episode, so that a test decides when a step comes and counts what is asked.

    The real services cannot be told to lose steps, to send quickly, or to count their callers.
    """

    def __init__(self) -> None:
        self.steps: list[agent_pb2.MemoryStep] = []
        self.reads = 0
        self.over = False

    def add(self, count: int) -> None:
        """Commits steps."""
        for _ in range(count):
            number = len(self.steps)
            token = agent_pb2.Token(text=f"word{number % 5}", similarity=0.5, id=number % 5)
            self.steps.append(agent_pb2.MemoryStep(step=number, tokens=[token], action=agent_pb2.Action(discrete=1)))

    def finish(self) -> None:
        """Ends the episode."""
        self.over = True

    def _episode(self) -> agent_pb2.Episode:
        last = len(self.steps) - 1
        return agent_pb2.Episode(episode_id="one", committed_step=last if last >= 0 else None, ended=self.over)

    def GetEpisode(self, request: Any, context: Any) -> agent_pb2.GetEpisodeResponse:  # noqa: N802
        """See agent.proto."""
        return agent_pb2.GetEpisodeResponse(episode=self._episode())

    def GetMemory(self, request: agent_pb2.GetMemoryRequest, context: Any) -> agent_pb2.GetMemoryResponse:  # noqa: N802
        """See agent.proto."""
        self.reads += 1
        return agent_pb2.GetMemoryResponse(steps=self.steps[request.from_step : request.from_step + request.limit])


@pytest.fixture
def standing() -> Iterator[tuple[Standing, str]]:
    """The endless episode and where it is."""
    servicer = Standing()
    server = grpc.server(futures.ThreadPoolExecutor(32))
    agent_pb2_grpc.add_AgentServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(None)


async def steps_of(api: PublicApi, watches: Watches, *, until: int, slow: float = 0.0) -> list[int]:
    """What one viewer is sent, until it has step `until`."""
    found: list[int] = []
    events = episode_events(api, watches, await api.episode("one", ""), 0, "")
    async for event in events:
        name, _, data = event.decode().partition("\n")
        if name == "event: steps":
            found += [step["step"] for step in json.loads(data.removeprefix("data: "))]
        await asyncio.sleep(slow)
        if found and found[-1] >= until:
            break
    await events.aclose()
    return found


async def test_a_slow_viewer_misses_no_step_and_gets_none_twice(standing: tuple[Standing, str]) -> None:
    servicer, target = standing
    api = PublicApi(target, timeout=10)
    watches = Watches(api)
    many = 3 * RECENT
    slow = asyncio.create_task(steps_of(api, watches, until=many - 1, slow=0.3))
    quick = asyncio.create_task(steps_of(api, watches, until=many - 1))
    await reaches(lambda: len(watches) == 1)
    servicer.add(5)
    await asyncio.sleep(0.05)
    servicer.add(many - 5)
    for viewer in (slow, quick):
        assert await asyncio.wait_for(viewer, 60) == list(range(many))
    await api.close()


async def test_all_viewers_of_an_episode_share_one_bounded_reading_to_its_end(
    standing: tuple[Standing, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK", 0.1)
    servicer, target = standing
    servicer.add(3)
    api = PublicApi(target, timeout=10)
    watches = Watches(api)
    viewers = [asyncio.create_task(steps_of(api, watches, until=52)) for _ in range(4)]
    await reaches(lambda: len(watches) == 1)
    before, began = servicer.reads, time.monotonic()
    for _ in range(50):
        servicer.add(1)
        await asyncio.sleep(0.02)
    reads, seconds = servicer.reads - before, time.monotonic() - began
    assert await asyncio.wait_for(asyncio.gather(*viewers), 30) == [list(range(53))] * 4
    assert reads <= 4 + 2 + seconds / watching.QUICKEST  # each viewer's past, and the shared reading
    last = asyncio.create_task(steps_of(api, watches, until=10**6))
    await reaches(lambda: len(watches) == 1)
    servicer.finish()
    assert await asyncio.wait_for(last, 30) == list(range(53))
    assert len(watches) == 0
    await api.close()


async def test_an_episode_that_ends_ends_its_stream(standing: tuple[Standing, str]) -> None:
    servicer, target = standing
    servicer.add(3)
    api = PublicApi(target, timeout=10)
    events = episode_events(api, Watches(api), await api.episode("one", ""), 0, "")
    names = []
    async for event in events:
        names.append(event.decode().partition("\n")[0].removeprefix("event: "))
        if names[-1] == "caught_up":
            servicer.finish()
    assert names == ["steps", "caught_up", "end"]
    await api.close()


async def reaches(seen: Any) -> None:
    """Waits in the loop until something is so."""
    async with asyncio.timeout(30):
        while not seen():  # noqa: ASYNC110 - it looks into a server of another thread
            await asyncio.sleep(0.02)
