"""A memory that sees augmented frames during training."""

from collections.abc import Sequence

import numpy as np
import pytest

from training.clip.augment import augment
from training.memory import Frames, NoMemory, Vectors
from training.perturbed_memory import PerturbedMemory
from training.ppo import make_environment, parse_arguments

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)


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


def test_the_memory_is_given_augmented_frames_and_everything_else_as_it_is() -> None:
    inner = Recorder()
    memory = PerturbedMemory(inner, strength="strong", seed=3)
    memory.begin(1)
    vectors = [memory.remember(FRAMES, [0, 1]) for _ in range(2)]
    rng = np.random.default_rng((3, 1))
    assert np.array_equal(np.stack(inner.given), np.stack([augment("strong", FRAMES, rng) for _ in range(2)]))
    assert inner.begun == [1]
    assert [one.shape for one in vectors] == [(2, memory.dimension)] * 2


@pytest.mark.parametrize("perturbed", ["none", "mild"])
def test_training_perturbs_what_the_memory_sees_and_not_what_the_policy_sees(
    perturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Recorder()
    monkeypatch.setattr("training.ppo.load_memory", lambda *_, **__: inner)
    command = ["--env", "MiniGrid-MemoryS7-v0", "--out", "unused", "--perturbed", perturbed]
    environment, _ = make_environment(parse_arguments(command))
    seen = environment.reset()["frame"].transpose(0, 2, 3, 1)
    assert np.array_equal(inner.given[0], seen) == (perturbed == "none")
    environment.close()
