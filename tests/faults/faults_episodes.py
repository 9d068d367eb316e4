"""Episodes that are played over given frames, and what must be the same however they were disturbed.

An `Outcome` holds no episode name, so that two episodes with the same frames and seed can be compared: words and actions
exactly, numbers within CLOSE (a memory state that was rebuilt, or computed in other company, differs by rounding).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from shelm import Act, Client
from support.frames import Frame

CLOSE = 1e-3
STEPS = 48  # more than the agent's window of 32


@dataclass(frozen=True)
class Plan:
    """What an episode is made of."""

    frames: tuple[Frame, ...]
    deterministic: bool
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What one step came to."""

    words: tuple[tuple[int, str], ...]
    action: object
    numbers: tuple[float, ...]  # similarities, value, log-probability


def outcome_of(act: Act) -> Outcome:
    """Without what may differ: whether it was replayed or rebuilt, and timing."""
    words = tuple((token.id, token.text) for token in act.tokens)
    return Outcome(words, act.action, (*(token.similarity for token in act.tokens), act.value, act.log_prob))


def plans(frames: Sequence[Frame], count: int, steps: int = STEPS) -> list[Plan]:
    """Different episodes, one deterministic, the next one drawn, and so on."""
    turned = [[*frames[7 * i :], *frames[: 7 * i]] for i in range(count)]
    return [Plan(tuple(own[:steps]), deterministic=i % 2 == 0, seed=100 + i) for i, own in enumerate(turned)]


class Player:
    """Plays one plan under one name, a step at a time, and notes what came of it."""

    def __init__(self, client: Client, name: str, plan: Plan) -> None:
        self.client, self.name, self.plan = client, name, plan
        self.outcomes: list[Outcome] = []
        self.acts: list[Act] = []
        client.create_episode(name, seed=plan.seed, deterministic=plan.deterministic)

    @property
    def frame(self) -> Frame:
        """The next one."""
        return self.plan.frames[len(self.outcomes)]

    def act(self, client: Client | None = None) -> Act:
        """The next step."""
        act = (client or self.client).act(self.frame, self.name)
        self.outcomes.append(outcome_of(act))
        self.acts.append(act)
        return act

    def play(self, until: int | None = None, *, before: Callable[[int], object] | None = None) -> "Player":
        """All steps that are left, or those before step `until`; `before` is called ahead of each with its number."""
        while len(self.outcomes) < (len(self.plan.frames) if until is None else until):
            if before:
                before(len(self.outcomes))
            self.act()
        return self

    def check(self, undisturbed: Sequence[Outcome]) -> None:
        """Same words and actions as undisturbed, and the server remembers exactly these steps, each once."""
        check_same(self.outcomes, undisturbed)
        remembered = list(self.client.memory(self.name))
        assert [step.step for step in remembered] == list(range(len(self.outcomes)))
        for step, outcome in zip(remembered, self.outcomes, strict=True):
            assert tuple((token.id, token.text) for token in step.tokens) == outcome.words
            assert step.action == outcome.action
        info = self.client.get_episode(self.name)
        assert info.committed_step == len(self.outcomes) - 1
        assert info.memory_length == sum(len(outcome.words) for outcome in self.outcomes)


def check_same(actual: Sequence[Outcome], expected: Sequence[Outcome]) -> None:
    """Words and actions exactly, numbers up to rounding."""
    assert [one.words for one in actual] == [one.words for one in expected]
    assert [one.action for one in actual] == [one.action for one in expected]
    for one, other in zip(actual, expected, strict=True):
        assert one.numbers == pytest.approx(other.numbers, abs=CLOSE)


def play_undisturbed(client: Client, plans: Sequence[Plan], name: str) -> list[list[Outcome]]:
    """Plays all plans side by side."""
    with ThreadPoolExecutor(len(plans)) as threads:
        players = [Player(client, f"{name}-{i}", plan) for i, plan in enumerate(plans)]
        done = list(threads.map(Player.play, players))
    return [player.outcomes for player in done]
