"""Two replicas with different default agents, as while a new one is rolled out: all answers are about the stored episode."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import grpc
import pytest
from support.deployment import Deployment, Standalone, wait_ready
from support.errors import Code, refused
from support.frames import Frame
from support.gateway import Gateway, stored
from support.process import REPOSITORY, Process

from deploy.local.stack import free_port
from services.store.keys import episode_key, history_key

OLD, NEW = (REPOSITORY / "models" / name for name in ("minigrid-memory", "minigrid-redbluedoors"))
RACES = 100


@dataclass(frozen=True)
class Pair:
    """Two replicas on one Redis, each with a default agent of its own."""

    deployment: Deployment
    old: Gateway
    new: Gateway

    def forget(self, name: str) -> None:
        """Lets an episode expire."""
        with self.deployment.redis() as client:
            client.delete(episode_key(name), history_key(name))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with Standalone(folder, {"SHELM_AGENTS": f"{OLD},{NEW}"}).running() as deployment:
        target = f"127.0.0.1:{free_port()}"
        settings = {"SHELM_REDIS_URL": deployment.redis_url, "SHELM_AGENTS": f"{NEW},{OLD}", "SHELM_LISTEN": target}
        process = Process([sys.executable, "-m", "services.standalone"], folder / "new.log", settings)
        try:
            with Gateway(target) as new:
                wait_ready(new, process)
                assert deployment.gateway.agent().digest != new.agent().digest
                yield Pair(deployment, deployment.gateway, new)
        finally:
            process.stop()


def test_a_race_for_the_first_step_names_the_agent_that_is_stored(pair: Pair, name: str, frames: Sequence[Frame]) -> None:
    windows = {pair.old.agent(one.name).digest: pair.old.agent(one.name).window for one in (OLD, NEW)}
    assert len(set(windows)) == 2
    barrier, winners = Barrier(2), set()

    def act(gateway: Gateway, episode: str) -> Any:
        barrier.wait(10)
        return gateway.act(episode, 0, frames[0])

    with ThreadPoolExecutor(2) as threads:
        for race in range(RACES):
            episode = f"{name}:{race}"
            one, other = threads.map(act, (pair.old, pair.new), (episode, episode))
            digest = pair.old.episode(episode).agent_digest
            assert (one.agent_digest, other.agent_digest) == (digest, digest)
            assert {answer.memory.window for answer in (one, other)} == {windows[digest]}
            assert stored(one) == stored(other)
            assert sorted((one.replayed, other.replayed)) == [False, True]
            winners.add(digest)
    assert len(winners) == 2, "each won sometimes, so there was a race"


def test_a_name_that_expired_and_began_elsewhere_with_another_agent_goes_on_where_it_was_known(
    pair: Pair, name: str, frames: Sequence[Frame]
) -> None:
    for asked in ("", NEW.name):
        for step in range(2):
            pair.old.act(name, step, frames[step])  # the old replica now knows the episode, with its own agent
        pair.forget(name)
        begun = [pair.new.act(name, step, frames[step]) for step in range(2)]
        answer = pair.old.act(name, 2, frames[2], agent=asked)
        assert (answer.replayed, answer.agent_digest) == (False, begun[0].agent_digest)
        assert answer.memory.length == 3 * begun[0].memory.length
        kind = refused(lambda: pair.old.act(name, 3, frames[3], agent=OLD.name)).kind
        assert kind == (Code.FAILED_PRECONDITION, "AGENT_MISMATCH")
        pair.forget(name)


def test_a_refusal_for_an_episode_that_is_gone_is_not_taken_from_what_was_known(
    pair: Pair, name: str, frames: Sequence[Frame]
) -> None:
    pair.old.act(name, 0, frames[0])
    pair.forget(name)
    kind = refused(lambda: pair.old.act(name, 1, frames[1], agent=NEW.name)).kind
    assert kind == (Code.NOT_FOUND, "EPISODE_NOT_FOUND")


@pytest.mark.parametrize("explicit", [{}, {"seed": 7}, {"deterministic": True}, {"agent": NEW.name}])
def test_creating_again_at_a_replica_with_another_default_returns_what_exists(
    pair: Pair, name: str, explicit: dict[str, Any]
) -> None:
    first = pair.old.create(name, **explicit)
    again = pair.new.create(name, **explicit)
    for one in (first, again):
        one.ClearField("expire_time")
    assert again == first
    other = OLD.name if first.agent == NEW.name else NEW.name
    for gateway in (pair.old, pair.new):
        kind = refused(lambda gateway=gateway: gateway.create(name, **{**explicit, "agent": other})).kind  # type: ignore[misc]
        assert kind == (grpc.StatusCode.ALREADY_EXISTS, "EPISODE_EXISTS")
