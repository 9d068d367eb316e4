"""Two Acts of one episode at once, at one process and at two that share a Redis; and episodes that change replicas."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import grpc
import pytest
from shelm.v1 import agent_pb2
from support.errors import Code, Refusal, refusal_of_call, refused
from support.frames import Frame
from support.gateway import Gateway, lines, play, stored

RACES = 30
Outcome = agent_pb2.ActResponse | Refusal


@dataclass(frozen=True)
class Pair:
    """Two ways into the same episodes."""

    one: Gateway
    other: Gateway


@pytest.fixture(params=["one process", "two processes"])
def pair(request: pytest.FixtureRequest, gateway: Gateway) -> Pair:
    return Pair(gateway, gateway if request.param == "one process" else request.getfixturevalue("replica"))


def at_once(*calls: Callable[[], agent_pb2.ActResponse]) -> list[Outcome]:
    """Makes the calls at the same time; what each gave."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], agent_pb2.ActResponse]) -> Outcome:
        barrier.wait(10)
        try:
            return call()
        except grpc.RpcError as error:
            return refusal_of_call(error)

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def test_two_acts_with_the_same_frame_get_the_same_answer_and_one_of_them_replayed(
    pair: Pair, name: str, frames: Sequence[Frame]
) -> None:
    for step in range(RACES):
        outcomes: list[Any] = at_once(
            lambda: pair.one.act(name, step, frames[step]),  # noqa: B023 - called before the next round
            lambda: pair.other.act(name, step, frames[step]),  # noqa: B023
        )
        assert [type(one) for one in outcomes] == [agent_pb2.ActResponse] * 2, outcomes
        assert sorted(one.replayed for one in outcomes) == [False, True]
        assert stored(outcomes[0]) == stored(outcomes[1])
        assert len(pair.one.memory(name)) == step + 1


def test_of_two_acts_with_different_frames_exactly_one_commits_and_the_other_is_aborted(
    pair: Pair, name: str, frames: Sequence[Frame]
) -> None:
    for step in range(RACES):
        outcomes = at_once(
            lambda: pair.one.act(name, step, frames[step]),  # noqa: B023
            lambda: pair.other.act(name, step, frames[-1 - step]),  # noqa: B023
        )
        committed = [one for one in outcomes if isinstance(one, agent_pb2.ActResponse)]
        aborted = [one for one in outcomes if isinstance(one, Refusal)]
        assert [one.kind for one in aborted] == [(Code.ABORTED, "STEP_CONFLICT")]
        assert [one.replayed for one in committed] == [False]
        memory = pair.one.memory(name)
        assert len(memory) == step + 1
        assert lines(memory[-1:]) == lines(committed)


def test_any_replica_can_take_the_next_step(gateway: Gateway, replica: Gateway, name: str, frames: Sequence[Frame]) -> None:
    undisturbed = play(gateway, f"{name}:alone", frames[:40], seed=5, deterministic=True)
    gateway.create(name, seed=5, deterministic=True)
    doors = (gateway, replica)
    moved = [doors[step % 2].act(name, step, frame) for step, frame in enumerate(frames[:40])]
    assert lines(moved) == lines(undisturbed)
    assert [one.value for one in moved] == pytest.approx([one.value for one in undisturbed], abs=1e-4)
    assert lines(replica.memory(name)) == lines(undisturbed)


def test_drawn_actions_are_the_same_whichever_replica_draws_them(
    gateway: Gateway, replica: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    undisturbed = play(gateway, f"{name}:alone", frames[:20], seed=6)
    gateway.create(name, seed=6)
    moved = [(replica if step % 3 else gateway).act(name, step, frame) for step, frame in enumerate(frames[:20])]
    assert lines(moved) == lines(undisturbed)


def test_a_replica_replays_and_refuses_what_the_other_has_committed(
    gateway: Gateway, replica: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    answers = play(gateway, name, frames[:3])
    again = replica.act(name, 1, frames[1])
    assert (again.replayed, stored(again)) == (True, stored(answers[1]))
    assert refused(lambda: replica.act(name, 1, frames[2])).kind == (Code.ABORTED, "STEP_CONFLICT")
    assert refused(lambda: replica.act(name, 4, frames[4])).metadata["committed_step"] == "2"


def test_an_episode_that_ended_at_one_replica_has_ended_at_the_other(
    gateway: Gateway, replica: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    play(gateway, name, frames[:2])
    replica.end(name)
    assert refused(lambda: gateway.act(name, 2, frames[2])).kind == (Code.FAILED_PRECONDITION, "EPISODE_ENDED")
    assert len(gateway.memory(name)) == 2
