"""Imitation before PPO: the expert is asked about the states that are met, and the policy learns what it can see of it."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv

from agent.bundle import PolicyPart
from training.imitation import ExpertRecord, ImitationPPO
from training.memory import NoMemory
from training.memory_env import MemoryVecEnv
from training.policy import ServedPolicy
from training.ppo import parse_arguments

STEPS, ROWS = 32, 4
BRIGHTNESS = (0, 120, 240)


class Shades(gymnasium.Env[NDArray[np.uint8], int]):
    """A frame of one of three shades, another one each step; the expert's action is the shade. Nothing is ever paid."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(0, 255, (3, 16, 16), np.uint8)
        self.action_space: Any = gymnasium.spaces.Discrete(3)
        self.shade = 0

    def _frame(self) -> NDArray[np.uint8]:
        self.shade = int(self.np_random.integers(3))
        return np.full((3, 16, 16), BRIGHTNESS[self.shade], np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """A random shade."""
        super().reset(seed=seed)
        return self._frame(), {}

    def step(self, action: int) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """A random shade; an episode ends now and then."""
        ended = bool(self.np_random.random() < 0.1)
        return self._frame(), 0.0, ended, False, {"TimeLimit.truncated": False}

    def expert_action(self) -> int:
        """The shade."""
        return self.shade


def learner(imitation: int) -> ImitationPPO:
    rows: Any = MemoryVecEnv(ExpertRecord(DummyVecEnv([Shades] * ROWS), seed=0), NoMemory())
    shape = PolicyPart(weights="policy.safetensors", channels=(4, 8), features=16)
    return ImitationPPO(
        ServedPolicy,
        rows,
        imitation=imitation,
        policy_kwargs={"shape": shape, "output_gain": 0.01},
        n_steps=STEPS,
        batch_size=STEPS,
        learning_rate=3e-3,
        seed=0,
        device="cpu",
    )


def agreement(model: ImitationPPO) -> float:
    """How often the most probable action is the expert's."""
    frames = torch.stack([torch.full((3, 16, 16), value, dtype=torch.uint8) for value in BRIGHTNESS])
    with torch.inference_mode():
        actions, _, _ = model.policy({"frame": frames, "memory": torch.zeros(3, 1)}, deterministic=True)
    return float((actions == torch.arange(3)).float().mean())


@pytest.mark.slow
def test_a_policy_learns_the_experts_actions_without_any_reward() -> None:
    model = learner(imitation=10 * STEPS * ROWS)
    model.learn(10 * STEPS * ROWS)
    assert agreement(model) == 1.0


@pytest.mark.slow
def test_without_imitation_nothing_is_learned_where_nothing_is_paid() -> None:
    model = learner(imitation=1)  # no rollout ends within it
    model.learn(10 * STEPS * ROWS)
    assert agreement(model) < 1.0


def test_after_the_imitation_the_rollouts_own_actions_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The expert's actions replace the policy's in the buffer for exactly as many rollouts as `imitation` says."""
    model = learner(imitation=2 * STEPS * ROWS)
    imitated: list[bool] = []
    original = ImitationPPO.train

    def watched(self: ImitationPPO) -> None:
        original(self)
        imitated.append("train/imitation_loss" in self.logger.name_to_value)
        self.logger.name_to_value.clear()

    monkeypatch.setattr(ImitationPPO, "train", watched)
    model.learn(4 * STEPS * ROWS)
    assert imitated == [True, True, False, False]


def test_the_expert_is_asked_before_each_step_in_the_state_of_that_step() -> None:
    record = ExpertRecord(DummyVecEnv([Shades] * ROWS), seed=0)
    record.seed(3)
    record.share = 0.5
    frames = record.reset()
    met = []
    for _ in range(20):
        met.append([BRIGHTNESS.index(frame.max()) for frame in frames])
        frames = record.step(np.zeros(ROWS, int))[0]
    np.testing.assert_array_equal(record.take(), met)
    assert record.take().size == 0


def test_an_expert_that_has_no_share_is_not_asked() -> None:
    record = ExpertRecord(DummyVecEnv([Shades] * ROWS), seed=0)
    record.reset()
    record.step(np.zeros(ROWS, int))
    assert record.take().size == 0


def test_imitation_without_a_record_of_the_expert_is_refused() -> None:
    rows: Any = MemoryVecEnv(DummyVecEnv([Shades]), NoMemory())
    with pytest.raises(ValueError, match="ExpertRecord"):
        ImitationPPO(ServedPolicy, rows, imitation=1)


def test_imitation_is_a_setting_of_the_run() -> None:
    arguments = ["--env", "MiniWorld-SignColour-v0", "--out", "runs/x"]
    assert parse_arguments(arguments)["imitation"] > 0
    assert parse_arguments([*arguments, "--imitation", "0"])["imitation"] == 0
