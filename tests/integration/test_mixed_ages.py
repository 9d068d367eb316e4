"""Episodes of different ages that share forwards, batches and slots never influence each other.

Words and actions are equal. Numbers are equal up to rounding, because a forward over other rows may sum in another order.
Measured on CPU in float32 over 56 episodes of 15 to 40 steps, the largest absolute difference: value 5.4e-7, similarity
4.2e-7, log-probability 1.3e-5 (it inherits the rounding of logits of any size). The tests allow about ten times that.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from shelm.v1 import agent_pb2
from support.deployment import Deployment
from support.frames import Frame
from support.gateway import Gateway, act_request, lines, play

STEPS = 40  # more than the window
OTHERS = 15
ROUNDING = {"value": 1e-5, "similarity": 1e-5, "log_prob": 1.5e-4}
WAYS = [{"deterministic": True}, {"seed": 1234}, {"seed": 2**40}]


def alone(gateway: Gateway, name: str, frames: Sequence[Frame], **created: Any) -> list[agent_pb2.ActResponse]:
    """The episode with nothing else going on."""
    return play(gateway, f"{name}:alone", frames[:STEPS], **created)


def other_frame(frames: Sequence[Frame], other: int, step: int) -> Frame:
    """What another episode sees: something else than the episode under test."""
    return frames[(step * 5 + other * 11 + 1) % len(frames)]


def check_equal(answers: Sequence[agent_pb2.ActResponse], expected: Sequence[agent_pb2.ActResponse]) -> None:
    """Words and actions are equal, numbers up to rounding."""
    assert lines(answers) == lines(expected)
    for kind, rounding in ROUNDING.items():
        assert numbers(answers, kind) == pytest.approx(numbers(expected, kind), abs=rounding, rel=0), kind


def numbers(answers: Sequence[agent_pb2.ActResponse], kind: str) -> list[float]:
    """One number of each answer."""
    return [one.tokens[0].similarity if kind == "similarity" else getattr(one, kind) for one in answers]


def age(gateway: Gateway, name: str, frames: Sequence[Frame]) -> dict[str, int]:
    """Fifteen other episodes, each three steps older than the one before -> their next steps."""
    next_steps = {f"{name}:other:{i}": 3 * i for i in range(OTHERS)}
    for step in range(max(next_steps.values())):
        batch = [
            act_request(other, step, other_frame(frames, i, step))
            for i, (other, steps) in enumerate(next_steps.items())
            if step < steps
        ]
        assert all(one.HasField("response") for one in gateway.act_batch(batch))
    return next_steps


@pytest.mark.parametrize("created", WAYS, ids=str)
def test_an_episode_is_the_same_alone_and_in_batches_with_episodes_of_other_ages(
    gateway: Gateway, name: str, frames: Sequence[Frame], created: dict[str, Any]
) -> None:
    expected = alone(gateway, name, frames, **created)
    others = age(gateway, name, frames)
    gateway.create(name, **created)
    answers = []
    for step in range(STEPS):
        batch = [
            act_request(one, first + step, other_frame(frames, i, first + step))
            for i, (one, first) in enumerate(others.items())
        ]
        batch.insert(step % (OTHERS + 1), act_request(name, step, frames[step]))
        results = gateway.act_batch(batch)
        assert all(one.HasField("response") for one in results)
        answers.append(results[step % (OTHERS + 1)].response)
    check_equal(answers, expected)


def test_episodes_that_act_at_once_are_each_the_same_as_alone(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    def run(episode: int, suffix: str) -> list[agent_pb2.ActResponse]:
        own = [other_frame(frames, episode, step) for step in range(15 + 2 * episode)]
        return play(gateway, f"{name}:{suffix}:{episode}", own, seed=episode)

    expected = [run(episode, "alone") for episode in range(8)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda episode: run(episode, "together"), range(8)))
    for one, other in zip(together, expected, strict=True):
        check_equal(one, other)


def test_a_drawn_action_depends_on_the_seed_and_not_on_the_name(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    drawn = [lines(play(gateway, f"{name}:{i}", frames[:50], seed=seed)) for i, seed in enumerate([1, 1, 2, 3])]
    assert drawn[0] == drawn[1]
    assert any(drawn[0] != other for other in drawn[2:])


@pytest.mark.parametrize("deployment", ["standalone"], indirect=True)  # the one with plenty of slots to compare with
@pytest.mark.parametrize("created", WAYS[:2], ids=str)
def test_few_slots_cost_rebuilds_and_change_nothing(
    gateway: Gateway, cramped: Deployment, name: str, frames: Sequence[Frame], created: dict[str, Any]
) -> None:
    episodes = range(6)  # the cramped server has 2 slots
    own = [[other_frame(frames, episode, step) for step in range(STEPS)] for episode in episodes]
    expected = [play(gateway, f"{name}:{episode}", own[episode], **created) for episode in episodes]
    for episode in episodes:
        cramped.gateway.create(f"{name}:{episode}", **created)
    answers: list[list[agent_pb2.ActResponse]] = [[] for _ in episodes]
    for step in range(STEPS):
        batch = [act_request(f"{name}:{episode}", step, own[episode][step]) for episode in episodes]
        results = cramped.gateway.act_batch(batch)
        assert [one.status.message for one in results if not one.HasField("response")] == []
        for episode in episodes:
            answers[episode].append(results[episode].response)
    rebuilt = sum(one.memory.rebuilt for episode in answers for one in episode)
    assert rebuilt >= 4 * (STEPS - 1)  # at most two of the six find their slot
    for episode in episodes:
        check_equal(answers[episode], expected[episode])


def test_few_slots_serve_more_episodes_that_act_at_once(cramped: Deployment, name: str, frames: Sequence[Frame]) -> None:
    def run(episode: int) -> list[agent_pb2.ActResponse]:
        return play(cramped.gateway, f"{name}:{episode}", frames[:20], seed=9)

    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(run, range(6)))
    assert any(one.memory.rebuilt for one in together[0])
    assert [lines(one) for one in together] == [lines(together[0])] * 6
