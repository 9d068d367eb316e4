"""Probing a memory: one that keeps the first frame tells what must be remembered, one that keeps nothing does not."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

from training import probe
from training.memory import Frames, NoMemory, Vectors

ANSWERS, LENGTH = 3, 6
ENV_ID = f"{__name__}:test/Shown-v0"


class Shown(gymnasium.Env[NDArray[np.uint8], int]):
    """The first frame shows the answer as its brightness, the others nothing. The expert's actions are taken or refused."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8)
        self.action_space: Any = gymnasium.spaces.Discrete(2)
        self.answer, self.answers, self.shown = 0, ANSWERS, 1

    def _frame(self) -> NDArray[np.uint8]:
        return np.full((8, 8, 3), 80 * (self.answer + 1) if self.steps == 0 and self.shown else 0, np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Draws the answer."""
        super().reset(seed=seed)
        self.steps, self.answer = 0, int(self.np_random.integers(ANSWERS))
        return self._frame(), {}

    def expert_action(self) -> int:
        """Always 1."""
        return 1

    def step(self, action: int) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Ends after `LENGTH` steps."""
        assert action == self.expert_action()
        self.steps += 1
        return self._frame(), 0.0, self.steps == LENGTH, False, {}


gymnasium.register(id="test/Shown-v0", entry_point=f"{__name__}:Shown")


class First(NoMemory):
    """The brightness of an episode's first frame."""

    dimension = ANSWERS

    def __init__(self) -> None:
        self.kept: dict[int, int] = {}

    def begin(self, row: int) -> None:
        """Forgets the row's."""
        self.kept.pop(row, None)

    def remember(self, frames: Frames, rows: Sequence[int]) -> Vectors:
        """One row of the identity for each."""
        for row, frame in zip(rows, frames, strict=True):
            self.kept.setdefault(row, int(frame.max()) // 80 - 1)
        return np.eye(ANSWERS, dtype=np.float32)[[self.kept[row] for row in rows]]


def test_what_a_memory_keeps_is_read_and_what_it_does_not_keep_is_not() -> None:
    vectors, answers, count = probe.walk(ENV_ID, First(), episodes=80, attributes={})
    assert (len(vectors), len(answers), count) == (80, 80, ANSWERS)
    assert {of.shape for of in vectors} == {(LENGTH, ANSWERS)}
    for hidden in (0, 16):
        assert probe.read(vectors, answers, count, hidden=hidden) == 1.0
    vectors, answers, count = probe.walk(ENV_ID, NoMemory(), episodes=80, attributes={})
    assert probe.read(vectors, answers, count, hidden=0) < 0.7


def test_an_attribute_of_the_environment_can_be_set_and_one_that_it_lacks_is_refused() -> None:
    with pytest.raises(AttributeError, match="shwon"):
        probe.walk(ENV_ID, First(), episodes=2, attributes={"shwon": 0})


def test_the_command_writes_settings_and_both_accuracies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "load_memory", lambda run, **_: First())
    out = tmp_path / "new" / "probe.json"
    probe.main(["--env", ENV_ID, "--out", str(out), "--episodes", "40", "--layers", "3", "--set", "shown=1"])
    result = json.loads(out.read_text())
    assert (result["linear"], result["hidden"], result["layers"], result["shown"]) == (1.0, 1.0, 3, 1)
    assert result["chance"] == pytest.approx(1 / 3)
    assert result["mean_length"] == LENGTH
