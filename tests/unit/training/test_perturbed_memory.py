"""A memory that sees augmented frames during training."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from training.clip.augment import STRENGTHS
from training.memory import Frames, NoMemory, Vectors
from training.perturbed_memory import PERTURBED, PerturbedMemory
from training.ppo import make_environment, parse_arguments

ALWAYS = replace(STRENGTHS["strong"], perturbed=1.0, each=0.999)
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strength that leaves no frame as it is."""
    monkeypatch.setitem(STRENGTHS, "always", ALWAYS)


class Recorder(NoMemory):
    """Keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[Frames] = []
        self.begun: list[int] = []

    def begin(self, row: int) -> None:
        self.begun.append(row)

    def remember(self, frames: Frames, rows: Sequence[int]) -> Vectors:
        self.given.append(frames)
        return super().remember(frames, rows)


def test_episodes_are_perturbed_as_a_whole_or_not_at_all() -> None:
    inner = Recorder()
    memory = PerturbedMemory(inner, strength="always", seed=3)
    clean = []
    for episode in range(100):
        memory.begin(1)
        for _ in range(2):
            memory.remember(FRAMES[1:], [1])
        same = [np.array_equal(given, FRAMES[1:]) for given in inner.given[-2:]]
        assert same[0] == same[1], episode
        clean.append(same[0])
    assert inner.begun == [1] * 100
    assert np.mean(clean) == pytest.approx(1 - PERTURBED, abs=0.15)


def test_only_the_rows_of_perturbed_episodes_are_augmented_and_what_was_given_is_untouched() -> None:
    inner, before = Recorder(), FRAMES.copy()
    memory = PerturbedMemory(inner, strength="always", seed=0)
    changed = set()
    for _ in range(20):
        memory.begin(0)
        memory.begin(1)
        vectors = memory.remember(FRAMES, [0, 1])
        changed.add(tuple((inner.given[-1] != FRAMES).any((1, 2, 3)).tolist()))
    assert vectors.shape == (2, memory.dimension)
    assert changed == {(False, False), (False, True), (True, False), (True, True)}
    assert np.array_equal(FRAMES, before)


def test_what_lasts_is_drawn_once_an_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    lit = replace(STRENGTHS["lasting"], each=0.999, noise=0.0, quality=99, occluded=0.01, saturation=(1.0, 1.0), gain=0.0)
    monkeypatch.setitem(STRENGTHS, "lasting", lit)
    inner = Recorder()
    memory, grey = PerturbedMemory(inner, strength="lasting", seed=0), np.full((1, 56, 56, 3), 120, np.uint8)
    lights = []
    for _ in range(40):
        memory.begin(0)
        for _ in range(3):
            memory.remember(grey, [0])
        lights.append([int(np.median(given)) for given in inner.given[-3:]])
    assert all(len(set(episode)) == 1 for episode in lights)
    assert len({episode[0] for episode in lights}) > 5


@pytest.mark.parametrize("perturbed", ["none", "strong"])
def test_training_perturbs_what_the_memory_sees_and_not_what_the_policy_sees(
    perturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Recorder()
    monkeypatch.setattr("training.ppo.load_memory", lambda *_, **__: inner)
    command = ["--env", "MiniGrid-MemoryS7-v0", "--out", "unused", "--perturbed", perturbed]
    environment, _ = make_environment(parse_arguments(command))
    observation: Any = environment.reset()
    seen = observation["frame"].transpose(0, 2, 3, 1)
    assert np.array_equal(inner.given[0], seen) == (perturbed == "none")
    environment.close()
