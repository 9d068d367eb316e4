"""Services and Redis that are there and say nothing (SIGSTOP), and connections that are slow, torn, half-open or silent."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from faults_episodes import Outcome, Plan, Player
from faults_relay import Relay, relay_to
from faults_replicas import Replica
from faults_serve import RETRY_SECONDS, SERVICES, Serve
from shelm import Client
from support.deployment import RedisProcess
from support.waiting import wait_for

pytest_plugins = ("faults_fixtures",)
pytestmark = pytest.mark.timeout(240)

PLAYERS = 4
TIMEOUT = 1.5  # seconds of one attempt; a silence is longer
SILENCE = 2.5
FAULTS = ["silence", *(pytest.param(fault, marks=pytest.mark.long) for fault in ("delay", "tear", "half_open"))]


@pytest.mark.parametrize("service", SERVICES)
def test_episodes_go_on_after_a_service_has_said_nothing_for_a_while(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str, service: str
) -> None:
    with Client(serve.target, timeout=TIMEOUT, retry_for=RETRY_SECONDS) as client, ThreadPoolExecutor(PLAYERS) as threads:
        players = [Player(client, f"{name}-{i}", plan) for i, plan in enumerate(episode_plans[:PLAYERS])]
        list(threads.map(lambda player: player.play(20), players))
        process = psutil.Process(serve.pid(service))
        process.suspend()
        try:
            running = [threads.submit(player.act) for player in players]
            time.sleep(SILENCE)
            assert not any(one.done() for one in running)
        finally:
            process.resume()
        for one in running:
            one.result(RETRY_SECONDS)
        list(threads.map(Player.play, players))
        for player, expected in zip(players, undisturbed, strict=False):
            player.check(expected)


@pytest.fixture(scope="module")
def redis_relay(replica_redis: RedisProcess) -> Iterator[Relay]:
    """What a replica takes for its Redis."""
    address = replica_redis.url.removeprefix("redis://").partition("/")[0]
    with relay_to(address) as relay:
        yield relay


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, redis_relay: Relay) -> Iterator[Replica]:
    """A replica with a bad connection to its Redis."""
    replica = Replica(tmp_path_factory.mktemp("far") / "far", f"redis://{redis_relay.target}/0", SHELM_REDIS_TIMEOUT="1")
    try:
        replica.wait_serving()
        yield replica
    finally:
        replica.stop()


@pytest.mark.parametrize("fault", FAULTS)
def test_episodes_end_as_undisturbed_over_a_bad_connection_to_the_server(
    replicas: tuple[Replica, Replica], episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str, fault: str
) -> None:
    with relay_to(replicas[0].target) as relay:
        play_over(relay, relay.target, replicas[1], episode_plans, undisturbed, name=name, fault=fault)


@pytest.mark.parametrize("fault", FAULTS)
def test_episodes_end_as_undisturbed_over_a_bad_connection_to_redis(  # noqa: PLR0917
    far: Replica,
    redis_relay: Relay,
    replicas: tuple[Replica, Replica],
    episode_plans: list[Plan],
    undisturbed: list[list[Outcome]],
    name: str,
    fault: str,
) -> None:
    play_over(redis_relay, far.target, replicas[1], episode_plans, undisturbed, name=name, fault=fault)


def play_over(
    relay: Relay, target: str, direct: Replica, plans: list[Plan], undisturbed: list[list[Outcome]], *, name: str, fault: str
) -> None:
    """Plays while the relay does harm; what is stored is read by another way."""
    draw = random.Random(fault)
    with Client(target, timeout=TIMEOUT, retry_for=RETRY_SECONDS) as client, ThreadPoolExecutor(PLAYERS) as threads:
        players = [Player(client, f"{name}-{i}", plan) for i, plan in enumerate(plans[:PLAYERS])]
        running = [threads.submit(player.play) for player in players]
        for _ in range(3):
            time.sleep(draw.uniform(0.05, 0.2))
            getattr(relay, fault)()
            time.sleep(TIMEOUT + 0.2)
            relay.cut()
        for one in running:
            one.result(RETRY_SECONDS)
    with direct.client() as client:
        for player, expected in zip(players, undisturbed, strict=False):
            player.client = client
            player.check(expected)


def test_a_client_that_reads_slowly_holds_up_nobody_and_misses_nothing(
    replicas: tuple[Replica, Replica], episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    """A watcher whose connection takes nothing for the time of a whole episode."""
    with relay_to(replicas[0].target) as relay, replicas[0].client() as client, Client(relay.target) as slow:
        player = Player(client, name, episode_plans[0])
        player.act()
        watch = slow.watch_memory(name)
        assert next(iter(watch)).step == 0
        relay.hold()
        player.play().check(undisturbed[0])
        client.end_episode(name)
        relay.release()
        assert [step.step for step in watch] == list(range(1, len(player.outcomes)))


def test_the_relay_holds_what_passes_until_it_is_released(tmp_path: Path, replicas: tuple[Replica, Replica]) -> None:
    """Otherwise the test above would prove nothing."""
    with relay_to(replicas[0].target) as relay, Client(relay.target, timeout=60) as client, ThreadPoolExecutor(1) as threads:
        client.ping()
        relay.hold()
        ping = threads.submit(client.ping)
        wait_for("the request or its reply is held", lambda: relay.held, seconds=30)
        assert not ping.done()
        relay.release()
        assert ping.result(60) > 0
