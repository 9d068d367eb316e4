"""A Redis for the tests of the store, one for each module that asks for it; a server that records, and an episode there."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from shelm import Client
from shelm.gym import Transition, minigrid_env, play
from support.deployment import Deployment, Standalone
from support.process import REPOSITORY
from support.recordings import recorded
from support.stored import redis_process
from support.waiting import wait_for

from services.store.redis import connect_redis


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis process of these tests alone."""
    with redis_process(tmp_path_factory.mktemp("redis")) as process:
        yield process.url


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    """A connection to an empty Redis."""
    client = connect_redis(redis_url, timeout=5)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Deployment]:
    """A server of two agents for the same environment, the default `minigrid-memory`, which records frames."""
    folder = tmp_path_factory.mktemp("recording")
    agents = ",".join(str(REPOSITORY / "models" / name) for name in ("minigrid-memory", "minigrid-memory-robust"))
    settings = {"SHELM_AGENTS": agents, "SHELM_RECORD": str(folder / "frames")}
    with Standalone(folder / "run", settings).running() as running:
        yield running


@pytest.fixture(scope="session")
def played(recording: Deployment) -> list[Transition]:
    """The steps of one recorded episode of MiniGrid-MemoryS11-v0, whose actions were sampled."""
    env, steps = minigrid_env("MiniGrid-MemoryS11-v0"), list[Transition]()
    with Client(recording.target) as client:
        play(client, env, episodes=1, seed=7, on_step=steps.append)
        for step in steps:
            wait_for("the frame is recorded", partial(recorded, client, step.act.episode_id, step.act.step), seconds=30)
    env.close()
    return steps
