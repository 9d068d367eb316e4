"""Redis with `appendfsync everysec`: what its death loses, what that of the machine may lose, and how an episode goes on.

The first is shown by `kill -9`: the kernel has what was written. The second by the log as it would be found, cut short.
"""

import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from faults_episodes import Outcome, Plan, Player, plans, play_undisturbed
from faults_fire import EPISODES, act_under_fire
from faults_serve import Serve
from shelm import Client
from shelm.errors import EpisodeNotFound, StepGap
from support.deployment import Standalone
from support.frames import Frame
from support.waiting import wait_for

pytest_plugins = ("faults_fixtures",)
pytestmark = [pytest.mark.timeout(240), pytest.mark.long]
KEPT, LOST = 20, 7  # steps before the cut of the log, and after it


def test_killing_redis_loses_nothing(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    draw = random.Random("every second")
    with serve.client() as client, ThreadPoolExecutor(EPISODES) as threads:
        players = [Player(client, f"{name}-{i}", plan) for i, plan in enumerate(episode_plans[:EPISODES])]
        for stop in (8, 16, 24, 32, 40):
            wait_for("redis takes the setting", lambda: set_everysec(serve))  # a new one, which has those of its start
            list(threads.map(lambda player, stop=stop: player.play(stop), players))
            act_under_fire(serve, "redis", players, draw)
        list(threads.map(Player.play, players))
        for player, expected in zip(players, undisturbed, strict=False):
            player.check(expected)


def set_everysec(serve: Serve) -> bool:
    """Whether it could be set."""
    try:
        with serve.redis() as stored:
            return bool(stored.config_set("appendfsync", "everysec"))
    except redis.RedisError:
        return False


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Standalone]:
    """A server whose Redis is started again by hand."""
    with Standalone(tmp_path_factory.mktemp("everysec")).running() as running:
        assert isinstance(running, Standalone)
        yield running


@pytest.mark.parametrize("torn", [0, 10], ids=["between two commands", "within a command"])
def test_an_episode_whose_client_is_ahead_of_the_log_is_told_so_and_goes_on_from_what_is_left(
    standalone: Standalone, frames: Sequence[Frame], name: str, torn: int
) -> None:
    """With `torn` bytes less, the last command that would have been left is lost too: that of step KEPT - 1."""
    both = plans(frames, 2)
    left = KEPT - bool(torn)
    with Client(standalone.target, retry_for=60) as client:
        expected = play_undisturbed(client, both, f"{name}-undisturbed")
        with standalone.redis() as stored:
            stored.config_set("appendfsync", "everysec")
        late = Player(client, f"{name}-late", both[1])
        early = Player(client, f"{name}-early", both[0]).play(KEPT)
        size = log_of(standalone).stat().st_size
        late.play(LOST)
        early.play(KEPT + LOST)
        lose_tail(standalone, size - torn)

        with pytest.raises(StepGap) as gap:
            early.act()
        assert gap.value.committed_step == left - 1
        assert client.resume(early.name) == left
        del early.outcomes[left:], early.acts[left:]
        early.play().check(expected[0])  # the same steps again, and the same actions drawn

        with pytest.raises(StepGap):
            late.act()
        assert client.resume(late.name) == 0
        late.outcomes.clear()
        late.play().check(expected[1])


def test_an_episode_of_which_nothing_is_left_is_not_begun_again_silently(
    standalone: Standalone, frames: Sequence[Frame], name: str
) -> None:
    (plan,) = plans(frames, 1)
    size = log_of(standalone).stat().st_size
    with Client(standalone.target, retry_for=60) as client:
        player = Player(client, name, plan).play(3)
        lose_tail(standalone, size)
        with pytest.raises(EpisodeNotFound):
            player.act()
        with pytest.raises(EpisodeNotFound):
            client.resume(name)


def log_of(standalone: Standalone) -> Path:
    """The file to which Redis appends."""
    return max((standalone.folder / "redis" / "appendonlydir").glob("*.incr.aof"))


def lose_tail(standalone: Standalone, size: int) -> None:
    """Redis dies, and its log is found with this size; then it is started again."""
    process = standalone.redis_process.process
    process.kill()
    os.truncate(log_of(standalone), size)
    standalone.redis_process.start()
    wait_for("the server serves", standalone.gateway.serving)
