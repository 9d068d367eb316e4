"""Two replicas of every service on machines of their own, one of them cut off in the middle of episodes and brought back.

Cut off means that its cable is out: no connection is closed, nobody is told. Run by `make test-pods`, as root.
"""

import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from faults_episodes import Player, check_same, plans, play_undisturbed
from shelm import Client
from support.frames import Frame
from support.pods import PORTS, Pods
from support.process import Process
from support.waiting import wait_for

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.timeout(600),
]
EPISODES, STEPS = 8, 40


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Pods]:
    with Pods(tmp_path_factory.mktemp("pods")).running() as running:
        assert isinstance(running, Pods)
        yield running


def gateway_of(pods: Pods, number: int) -> str:
    return f"{pods.machines[f'policy-{number}'].address}:{PORTS['policy']}"


@pytest.mark.parametrize("service", ["retrieval", "memory"])
def test_episodes_go_on_while_a_replica_is_cut_off_and_after_it_is_back(
    pods: Pods, frames: Sequence[Frame], service: str
) -> None:
    episode_plans = plans(frames, EPISODES, STEPS)
    cut, back = threading.Barrier(EPISODES + 1), threading.Barrier(EPISODES + 1)

    def run(player: Player) -> None:
        player.play(STEPS // 4)
        cut.wait(120)
        player.play(STEPS // 2)
        back.wait(300)
        player.play()

    with Client(pods.target, retry_for=120) as client, ThreadPoolExecutor(EPISODES) as threads:
        expected = play_undisturbed(client, episode_plans, f"calm:{uuid.uuid4().hex}")
        name = f"cut:{uuid.uuid4().hex}"
        players = [Player(client, f"{name}-{i}", plan) for i, plan in enumerate(episode_plans)]
        running = [threads.submit(run, player) for player in players]
        cut.wait(120)
        pods.network.cut(pods.machines[f"{service}-1"])
        back.wait(300)  # every episode has gone on for ten steps without that replica
        pods.network.mend(pods.machines[f"{service}-1"])
        for one in running:
            one.result(300)
        for player, outcomes in zip(players, expected, strict=True):
            player.check(outcomes)
    if service == "memory":
        assert any(act.memory.rebuilt for player in players for act in player.acts), "no episode changed its replica"


def test_an_episode_goes_on_at_the_other_gateway_when_its_own_is_cut_off(pods: Pods, frames: Sequence[Frame]) -> None:
    (plan,) = plans(frames, 1, STEPS)
    with Client(gateway_of(pods, 1), retry_for=0, timeout=3) as first, Client(gateway_of(pods, 2), retry_for=60) as second:
        (expected,) = play_undisturbed(second, [plan], f"calm:{uuid.uuid4().hex}")
        player = Player(first, f"gateway:{uuid.uuid4().hex}", plan).play(STEPS // 2)
        pods.network.cut(pods.machines["policy-1"])
        try:
            player.client = second
            second.resume(player.name)
            player.play(STEPS - 5)
        finally:
            pods.network.mend(pods.machines["policy-1"])
        wait_for("the first gateway is reached again", lambda: _reached(gateway_of(pods, 1)))
        with Client(gateway_of(pods, 1), retry_for=60) as again:
            player.client = again
            again.resume(player.name)
            player.play()
        check_same(player.outcomes, expected)


def test_a_replica_that_was_killed_and_started_again_takes_its_share(pods: Pods, frames: Sequence[Frame]) -> None:
    episode_plans = plans(frames, EPISODES, STEPS)
    with Client(pods.target, retry_for=120) as client:
        expected = play_undisturbed(client, episode_plans, f"calm:{uuid.uuid4().hex}")
        players = [Player(client, f"killed:{uuid.uuid4().hex}", plan).play(STEPS // 2) for plan in episode_plans]
        pods.processes["memory-1"].kill()
        for player in players:
            player.play(STEPS // 2 + 5)
        pods.start_service("memory", 1)
        process: Process = pods.processes["memory-1"]
        wait_for("it listens again", lambda: "serves on" in process.log_path.read_text()[-4000:])
        for player, outcomes in zip(players, expected, strict=True):
            player.play().check(outcomes)


def _reached(target: str) -> bool:
    with grpc.insecure_channel(target) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=1)
        except grpc.FutureTimeoutError:
            return False
        return True
