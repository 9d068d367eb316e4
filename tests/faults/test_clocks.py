"""Clocks that jump by an hour, there and back, while episodes play: that of a server, and that of Redis.

Times of steps follow the server's clock, and nothing else does. What is to expire follows that of Redis: after a jump
forward it expires early. What plays goes on: its time to live is longer than the jump, and begins anew with each step.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from faults_episodes import Outcome, Plan, Player, plans, play_undisturbed
from shelm import Client
from shelm.errors import EpisodeNotFound
from support.deployment import START_SECONDS, RedisProcess, answers, wait_ready
from support.frames import Frame
from support.gateway import Gateway
from support.process import Process
from support.stored import redis_process
from support.waiting import wait_for

from deploy.local.redis_server import redis_command
from deploy.local.stack import free_port
from services.store.keys import episode_key

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]
HOUR = 3600
JUMPS = (HOUR, 0, -HOUR, 0)
COUNT = 4
FAKETIME = [Path(os.environ.get("FAKETIME_LIBRARY", "")), *Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]


def clock_of(file: Path, library: Path) -> dict[str, str]:
    """The environment of a process whose wall clock a file moves, by way of libfaketime."""
    moved = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}
    return {**moved, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.fixture(scope="module")
def library() -> Path:
    found = next((path for path in FAKETIME if path.is_file()), None)
    return found or pytest.skip("needs libfaketime (or FAKETIME_LIBRARY)")


@contextlib.contextmanager
def server(folder: Path, command: list[str], environment: dict[str, str]) -> Iterator[Client]:
    """A client of a server, until the block ends."""
    target = f"127.0.0.1:{free_port()}"
    own = {"SHELM_LISTEN": target, "SHELM_POLICY_CACHE_FRAMES": "0", **environment}
    process = Process([sys.executable, *command], folder / "server.log", own)
    try:
        with Gateway(target) as gateway, Client(target) as client:
            wait_ready(gateway, process)
            yield client
    finally:
        process.stop()


class ClockedRedis(RedisProcess):
    """A Redis whose wall clock a file moves, by way of libfaketime."""

    def __init__(self, folder: Path, library: Path) -> None:
        super().__init__(folder)
        self.clock, self._library = folder / "redis-clock", library

    def start(self) -> None:
        self.clock.write_text("+0")
        command = redis_command(self._port, self._folder / "redis")
        self._process = Process(command, self._folder / "redis.log", clock_of(self.clock, self._library))
        with redis.Redis.from_url(self.url) as client:
            wait_for("redis answers", lambda: answers(client), seconds=START_SECONDS)

    def jump(self, seconds: int) -> None:
        """Sets its clock to so many seconds from the true time."""
        self.clock.write_text(f"{seconds:+d}")
        with redis.Redis.from_url(self.url) as client:
            wait_for("the clock of Redis has jumped", lambda: abs(client.time()[0] - time.time() - seconds) < HOUR / 2)


@pytest.fixture
def episode_plans(frames: Sequence[Frame]) -> list[Plan]:
    return plans(frames, COUNT, 4 * (len(JUMPS) + 1))


@pytest.mark.parametrize("whole", [False, True], ids=["as the services read it", "of the whole process"])
def test_the_clock_of_a_server_decides_nothing_but_the_times_that_are_told(
    request: pytest.FixtureRequest, tmp_path: Path, episode_plans: list[Plan], whole: bool
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    moved = clock_of(clock, request.getfixturevalue("library")) if whole else {}
    command = ["-m", "services.standalone"] if whole else [str(Path(__file__).with_name("faults_clock.py")), str(clock)]
    lives = {"SHELM_EPISODE_TTL": "60", "SHELM_ENDED_TTL": "60"}
    with (
        redis_process(tmp_path) as stored,
        server(tmp_path, command, {"SHELM_REDIS_URL": stored.url, **lives, **moved}) as client,
    ):
        expected = play_undisturbed(client, episode_plans, "undisturbed")
        players = [Player(client, f"jumped-{i}", plan) for i, plan in enumerate(episode_plans)]
        for i, jump in enumerate(JUMPS):
            clock.write_text(f"{jump:+d}")
            step(players, 4)
            times = [client.get_episode(player.name).update_time for player in players]
            told = [at.timestamp() - time.time() for at in times if at]
            assert len(told) == COUNT
            assert all(abs(one - jump) < HOUR / 2 for one in told), "as its clock says"
            client.end_episode(f"undisturbed-{i}")
            assert client.get_episode(f"undisturbed-{i}").ended
        finish(players, expected)


def step(players: list[Player], count: int) -> None:
    """Every player takes some steps, side by side."""
    with ThreadPoolExecutor(len(players)) as threads:
        list(threads.map(lambda player: player.play(len(player.outcomes) + count), players))


def finish(players: list[Player], expected: list[list[Outcome]]) -> None:
    """Every player ends as if nothing had happened."""
    for player, outcomes in zip(players, expected, strict=True):
        player.play().check(outcomes)


@pytest.fixture
def clocked(tmp_path: Path, library: Path) -> Iterator[ClockedRedis]:
    running = ClockedRedis(tmp_path, library)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_when_the_clock_of_redis_jumps_running_episodes_go_on_and_ended_ones_expire_early(
    clocked: ClockedRedis, tmp_path: Path, episode_plans: list[Plan]
) -> None:
    ttl = 24 * HOUR
    with server(tmp_path, ["-m", "services.standalone"], {"SHELM_REDIS_URL": clocked.url}) as client:
        expected = play_undisturbed(client, episode_plans, "undisturbed")
        client.end_episode("undisturbed-0")
        players = [Player(client, f"jumped-{i}", plan) for i, plan in enumerate(episode_plans)]
        for jump in JUMPS:
            step(players, 2)
            clocked.jump(jump)
            step(players, 2)
            with redis.Redis.from_url(clocked.url) as stored:
                left = [stored.pttl(episode_key(player.name)) / 1000 for player in players]
            assert all(ttl - 60 < one <= ttl for one in left), "it begins anew with each step"
        with pytest.raises(EpisodeNotFound):
            client.get_episode("undisturbed-0")
        assert client.get_episode("undisturbed-1").committed_step == len(expected[1]) - 1
        finish(players, expected)
