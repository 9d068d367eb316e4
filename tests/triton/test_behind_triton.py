"""Every model behind a real Triton: same words and actions, its death costs a rebuild, new bundles join while it runs.

`make test-triton` runs this and the contract suite. Triton is killed with SIGKILL and started again by the test, as an
orchestrator would do.
"""

import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
import tritonclient.grpc as tritongrpc
from faults_episodes import Plan, Player, plans, play_undisturbed
from shelm import Client, ShelmError
from shelm.gym import minigrid_env, play
from support.deployment import BehindTriton, Deployment, Standalone
from support.frames import Frame
from support.process import REPOSITORY
from support.waiting import wait_for

from agent.bundle import load_bundle
from services.triton.control import Control
from services.triton.models import PARTS, Op, model_name, read_counts

pytestmark = [
    pytest.mark.skipif(not (REPOSITORY / ".triton/bin/python").exists(), reason="needs `make triton-setup`"),
    pytest.mark.timeout(600),
]
BUNDLE = REPOSITORY / "models/minigrid-memory"
EPISODES, STEPS, KILLS = 32, 24, 4
TASK = "MiniGrid-MemoryS11-v0"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Deployment]:
    with Standalone(tmp_path_factory.mktemp("local")).running() as running:
        yield running


@pytest.fixture(scope="module")
def episode_plans(frames: Sequence[Frame]) -> list[Plan]:
    return [Plan(one.frames, one.deterministic, one.seed) for one in plans([*frames] * 4, EPISODES, STEPS)]


def client(deployment: Deployment) -> Client:
    return Client(deployment.target, retry_for=120)


def test_the_demos_words_and_actions_are_those_of_the_engine_in_the_process(behind: BehindTriton, local: Deployment) -> None:
    def transcript(deployment: Deployment) -> list[tuple[object, ...]]:
        seen: list[tuple[object, ...]] = []
        with client(deployment) as connection:
            play(
                connection,
                minigrid_env(TASK),
                episodes=5,
                seed=0,
                on_step=lambda step: seen.append((*(token.text for token in step.act.tokens), step.act.action, step.reward)),
            )
        return seen

    there, here = transcript(behind), transcript(local)
    assert there == here
    assert len(there) > 40


def test_episodes_end_as_if_nothing_had_happened_when_triton_is_killed_among_32(
    behind: BehindTriton, episode_plans: list[Plan]
) -> None:
    with client(behind) as connection:
        undisturbed = play_undisturbed(connection, episode_plans, f"calm:{uuid.uuid4().hex}")
        name = f"killed:{uuid.uuid4().hex}"
        players = [Player(connection, f"{name}-{i}", plan) for i, plan in enumerate(episode_plans)]
        half_way = threading.Barrier(EPISODES + 1)

        def run(player: Player) -> None:
            player.play(STEPS // 2)
            half_way.wait(120)
            player.play()

        with ThreadPoolExecutor(EPISODES) as threads:
            running = [threads.submit(run, player) for player in players]
            half_way.wait(120)
            time.sleep(0.1)  # so that Acts are under way
            behind.triton.kill()
            wait_for("the gateway says that it is not serving", lambda: not behind.gateway.serving())
            behind.triton.start()
            for one in running:
                one.result(300)
        for player, expected in zip(players, undisturbed, strict=True):
            player.check(expected)
        # Not once per episode: where the rebuild's own reply was lost, the repeated Act found the slot rebuilt.
        assert sum(act.memory.rebuilt for player in players for act in player.acts) >= EPISODES // 2


def test_episodes_end_as_if_nothing_had_happened_when_triton_is_killed_again_and_again(
    behind: BehindTriton, episode_plans: list[Plan]
) -> None:
    """Among Acts each time; those after it begin with the rebuilds of every memory state."""
    draw, some = random.Random("triton"), episode_plans[:16]
    with client(behind) as connection, ThreadPoolExecutor(len(some)) as threads:
        undisturbed = play_undisturbed(connection, some, f"calm:{uuid.uuid4().hex}")
        name = f"killed-again:{uuid.uuid4().hex}"
        players = [Player(connection, f"{name}-{i}", plan) for i, plan in enumerate(some)]
        for stop in range(STEPS // KILLS, STEPS + 1, STEPS // KILLS):
            running = [threads.submit(player.play, stop) for player in players]
            time.sleep(draw.uniform(0.01, 0.1))
            assert not all(one.done() for one in running), "somebody still plays"
            behind.triton.kill()
            behind.triton.start()
            for one in running:
                one.result(300)
        for player, expected in zip(players, undisturbed, strict=True):
            player.check(expected)


def test_triton_away_is_unavailable_and_nothing_is_committed(behind: BehindTriton, frames: Sequence[Frame]) -> None:
    name = f"away:{uuid.uuid4().hex}"
    with Client(behind.target, retry_for=0) as connection:
        connection.act(frames[0], name, step=0)
        behind.triton.kill()
        try:
            with pytest.raises(ShelmError) as caught:
                connection.act(frames[1], name, step=1)
            assert caught.value.code.name == "UNAVAILABLE"
            assert connection.get_episode(name).committed_step == 0
        finally:
            behind.triton.start()
        wait_for("the gateway serves again", behind.gateway.serving)
        assert connection.act(frames[1], name, step=1).committed_step == 1


def test_triton_puts_concurrent_episodes_into_one_batch(behind: BehindTriton, episode_plans: list[Plan]) -> None:
    digest = load_bundle(BUNDLE).digest
    with tritongrpc.InferenceServerClient(behind.triton.target) as triton, client(behind) as connection:

        def seen() -> dict[str, tuple[int, int]]:
            counts: dict[str, tuple[int, int]] = {}
            for part in PARTS:
                (stats,) = triton.get_inference_statistics(model_name(part, digest)).model_stats
                counts[part] = (stats.inference_count, stats.execution_count)
            return counts

        before = seen()
        play_undisturbed(connection, episode_plans, f"batch:{uuid.uuid4().hex}")
        after = seen()
    rows, runs = ({part: after[part][at] - before[part][at] for part in PARTS} for at in (0, 1))
    assert rows == {"act": EPISODES * STEPS, "clip_image": 0, "memory": 0, "policy": 0}
    assert rows["act"] / runs["act"] > 4, (before, after)


def test_an_ended_episode_gives_its_slot_back(behind: BehindTriton, frames: Sequence[Frame]) -> None:
    def used() -> int:
        operation = tritongrpc.InferInput("OP", [1, 1], "UINT8")
        operation.set_data_from_numpy(np.array([[Op.COUNTS]], np.uint8))
        with tritongrpc.InferenceServerClient(behind.triton.target) as triton:
            answer = triton.infer(model_name("act", load_bundle(BUNDLE).digest), [operation])
        return read_counts(answer.as_numpy("COUNTS")[0]).used

    name = f"ended:{uuid.uuid4().hex}"
    with client(behind) as connection:
        before = used()
        connection.act(frames[0], name)
        assert used() == before + 1
        connection.end_episode(name)
        wait_for("the slot is free", lambda: used() == before, seconds=20)


def test_a_model_whose_process_dies_is_unavailable_until_it_is_loaded_again(
    behind: BehindTriton, frames: Sequence[Frame]
) -> None:
    name, digest = f"ended:{uuid.uuid4().hex}", load_bundle(BUNDLE).digest
    with Client(behind.target, retry_for=0) as connection:
        connection.act(frames[0], name)
        stubs = psutil.Process(behind.triton.pid).children()
        next(one for one in stubs if any(model_name("act", digest) in part for part in one.cmdline())).kill()
        with pytest.raises(ShelmError, match="has ended") as caught:
            connection.act(frames[1], name, step=1)
        assert caught.value.code.name == "UNAVAILABLE"
        assert connection.get_episode(name).committed_step == 0
        control = Control(behind.triton.target, behind.triton.key)
        control.unload(digest)
        wait_for("the gateway says that it is not serving", lambda: not behind.gateway.serving())
        control.load(digest)
        wait_for("the gateway serves again", behind.gateway.serving)
        assert connection.act(frames[1], name, step=1).memory.rebuilt


def test_acts_go_on_without_retrieval_and_memory(behind: BehindTriton, frames: Sequence[Frame]) -> None:
    """Nor does anybody send their traffic away: policy is ready all the time."""
    for service in ("retrieval", "memory"):
        os.kill(behind.pids()[service], signal.SIGSTOP)
    try:
        with Client(behind.target, retry_for=0) as connection:
            name = f"alone:{uuid.uuid4().hex}"
            for frame in frames[:3]:
                connection.act(frame, name)
            assert connection.explain(name, 2, frames[2]).words
            assert behind.gateway.serving()
    finally:
        for service in ("retrieval", "memory"):
            os.kill(behind.pids()[service], signal.SIGCONT)
