"""A served agent behaves as it was trained: the engines that training uses give what the public API gives.

The classic failure is an agent that sees or remembers something else once it is served. Words and greedy actions must be
equal; values may differ by the rounding of differently sized batches.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.deployment import Deployment
from support.frames import Frame

from agent.bundle import load_bundle
from agent.policy.actor_critic import load_actor_critic
from training.engines import load_engines
from training.environments.minigrid import MiniGridVecEnv
from training.memory_env import MemoryVecEnv

BUNDLE = Path(__file__).parents[2] / "models/minigrid-memory"
VALUE_TOLERANCE = 1e-5  # relative


class Replay(MiniGridVecEnv):
    """The training environment, but its frames are given: every row sees all frames in turn."""

    def __init__(self, frames: tuple[Frame, ...], rows: int) -> None:
        super().__init__([("MiniGrid-MemoryS11-v0", rows)], seed=0)
        self._frames, self._at = [frame.transpose(2, 0, 1) for frame in frames], 0

    def _now(self) -> np.ndarray:
        return np.stack([self._frames[self._at % len(self._frames)]] * self.num_envs)

    def reset(self) -> np.ndarray:
        self._at = 0
        return self._now()

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, object]]]:
        self._at += 1
        rows = self.num_envs
        return self._now(), np.zeros(rows, np.float32), np.zeros(rows, bool), [{} for _ in range(rows)]


def test_words_actions_and_values_in_training_are_those_that_are_served(
    deployment: Deployment, frames: tuple[Frame, ...]
) -> None:
    manifest = json.loads((BUNDLE / "agent.json").read_text())
    run = {
        "clip": f"file:{BUNDLE / 'clip'}",
        "vocabulary": str(BUNDLE / "vocabulary.safetensors"),
        "language_model": manifest["memory"]["source"],
        **{name: manifest["memory"][name] for name in ("layers", "window")},
        "k": manifest["retrieval"]["k"],
        "dtype": "auto",  # the default of both
    }
    engines = load_engines(run, num_envs=4)
    environment = MemoryVecEnv(Replay(frames, 4), engines.memory())
    policy = load_actor_critic(load_bundle(BUNDLE))
    observation = environment.reset()
    for step, frame in enumerate(frames):
        with torch.inference_mode():
            features = policy.encode(torch.from_numpy(observation["frame"]))
            logits, values = policy.decide(features, torch.from_numpy(observation["memory"]))
        served = deployment.gateway.act("training-equals-serving", step, frame, deterministic=True)
        (words,) = engines.words(frame[None])
        assert [token.id for token in served.tokens] == list(words)
        assert served.action.discrete == int(logits[0].argmax())
        assert served.value == pytest.approx(values[0].item(), rel=VALUE_TOLERANCE, abs=VALUE_TOLERANCE)
        observation = environment.step(np.zeros(4, int))[0]  # type: ignore[assignment]
