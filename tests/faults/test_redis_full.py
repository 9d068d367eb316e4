"""No room: a disk without space for Redis's log, and a Redis without memory, while episodes play.

Acts are refused with STORE_UNAVAILABLE and the time to wait, health says NOT_SERVING, and when there is room again
everything goes on with every step that was answered.
"""

import contextlib
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faults_episodes import Outcome, Plan, Player, play_undisturbed
from faults_serve import Serve, serving
from shelm.errors import Unavailable
from support.waiting import wait_for

pytest_plugins = ("faults_fixtures",)
pytestmark = [pytest.mark.timeout(300), pytest.mark.long]
DISK_MB = 8
PATIENT = 30.0  # seconds, until something is noticed
FULL_SECONDS = 5.0


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run directory in which Redis has a disk of its own."""
    folder = tmp_path_factory.mktemp("small") / "run"
    disk = folder / "redis"
    disk.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "shelm-test", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Nothing more can be written there."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


def refuse(player: Player) -> Unavailable:
    """The refusal of the next Act that cannot be stored; those that still can are taken."""
    while len(player.outcomes) < len(player.plan.frames):
        try:
            player.act()
        except Unavailable as error:
            return error
    raise AssertionError("every Act was taken")


def refused_well(error: Unavailable) -> bool:
    """Whether it says that the store is away and when to try again."""
    return (error.reason, error.retryable, bool(error.retry_after)) == ("STORE_UNAVAILABLE", True, True)


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_while_the_disk_of_the_log_is_full_acts_are_refused_and_afterwards_nothing_is_lost(
    small_disk: Path, episode_plans: list[Plan], name: str, fsync: str
) -> None:
    with serving(small_disk, label=f"small-{fsync}") as serve, serve.client(retry_for=0) as impatient:
        (expected,) = play_undisturbed(impatient, episode_plans[:1], f"{name}-undisturbed")
        with serve.redis() as redis:
            redis.config_set("appendfsync", fsync)
        player = Player(impatient, name, episode_plans[0]).play(4)
        with full(small_disk / "redis"):
            for _ in range(3):
                assert refused_well(refuse(player))
            wait_for("health says NOT_SERVING", lambda: not serve.serving, seconds=PATIENT)
            with pytest.raises(Unavailable):
                impatient.act(player.frame, name)
        serve.wait_serving()
        wait_for("the step is taken", lambda: taken(player), seconds=PATIENT)
        player.play().check(expected)


def taken(player: Player) -> bool:
    """Whether the next step is taken now, or was in spite of its refusal."""
    try:
        player.act()
    except Unavailable:
        return False
    return True


def test_episodes_that_play_while_redis_has_no_memory_end_when_it_has_some_again(
    serve: Serve,
    episode_plans: list[Plan],
    undisturbed: list[list[Outcome]],
    name: str,
    errors_met: Counter[tuple[str, str]],
) -> None:
    twice = [*zip(episode_plans, undisturbed, strict=True)] * 2
    with serve.client() as client, ThreadPoolExecutor(len(twice)) as threads, serve.redis() as redis:
        players = [Player(client, f"{name}-{i}", plan) for i, (plan, _) in enumerate(twice)]
        list(threads.map(lambda player: player.play(4), players))
        running = [threads.submit(player.play) for player in players]
        try:
            redis.config_set("maxmemory", 1)
            time.sleep(FULL_SECONDS)
            wait_for("health says NOT_SERVING", lambda: not serve.serving, seconds=PATIENT)
            assert not any(one.done() for one in running)
            with serve.client(retry_for=0) as impatient, pytest.raises(Unavailable) as caught:
                impatient.act(players[0].frame, players[0].name, step=len(players[0].outcomes))
            assert refused_well(caught.value)
        finally:
            redis.config_set("maxmemory", 0)
        for one in running:
            one.result(120)
        for player, (_, expected) in zip(players, twice, strict=True):
            player.check(expected)
    assert errors_met["UNAVAILABLE", "STORE_UNAVAILABLE"] >= len(twice)
    assert {reason for _, reason in errors_met} <= {"STORE_UNAVAILABLE"}
