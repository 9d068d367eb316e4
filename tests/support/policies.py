"""A task that is learned in seconds, agents of stable-baselines3 that learn it, and what they do in process.

A square appears at the left, in the middle or at the right; the reward is for naming its place, or, with `delay`, the place
that it had one step before, which needs a memory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from support.frames import Frame

SIDE, STEPS = 36, 16


class Squares(gymnasium.Env[Frame, int]):
    """channels: 1, grey, or 3."""

    def __init__(self, *, delay: int = 0, channels: int = 3) -> None:
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE, channels), np.uint8)
        self.action_space: Any = spaces.Discrete(3)
        self._delay, self._channels = delay, channels
        self._places: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        super().reset(seed=seed)
        self._places = [int(self.np_random.integers(3)) for _ in range(self._delay + 1)]
        return self._frame(), {}

    def step(self, action: int) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        reward = float(action == self._places[-1 - self._delay])
        self._places.append(int(self.np_random.integers(3)))
        return self._frame(), reward, len(self._places) > STEPS + self._delay, False, {}

    def _frame(self) -> Frame:
        frame = np.zeros((SIDE, SIDE, self._channels), np.uint8)
        frame[12:24, 12 * self._places[-1] : 12 * self._places[-1] + 12] = 255
        return frame


@dataclass(frozen=True)
class Played:
    """One episode of an agent in process: its frames, greedy actions, their log-probabilities, and values."""

    frames: list[Frame]
    actions: list[int]
    log_probs: list[float]
    values: list[float]


LEARNING: dict[str, Any] = {"n_steps": 128, "batch_size": 128, "n_epochs": 4, "device": "cpu", "seed": 0}


def trained_ppo(path: Path, *, env: Any = None, steps: int = 512) -> Any:
    """A feed-forward agent with a CNN, saved at `path`."""
    from stable_baselines3 import PPO

    torch.set_num_threads(1)  # more are slower where others compute
    model = PPO("CnnPolicy", env or Squares(), learning_rate=1e-3, **LEARNING)
    model.learn(steps).save(path)
    return model


def trained_recurrent(path: Path, *, steps: int = 512) -> Any:
    """An agent with an LSTM of its own for actor and critic, saved at `path`."""
    from sb3_contrib import RecurrentPPO

    torch.set_num_threads(1)
    sizes = {"lstm_hidden_size": 32}
    model = RecurrentPPO("CnnLstmPolicy", Squares(delay=1), learning_rate=3e-3, policy_kwargs=sizes, **LEARNING)
    model.learn(steps).save(path)
    return model


def play_in_process(model: Any, env: Any, *, seed: int, steps: int = STEPS, forgets: bool = False) -> Played:
    """What `predict` does, greedily. forgets: the state of the policy is dropped before every step."""
    observation, _ = env.reset(seed=seed)
    played, state = Played([], [], [], []), None
    for step in range(steps):
        before = None if forgets else state
        action, state = model.predict(observation, state=before, episode_start=np.array([step == 0]), deterministic=True)
        log_prob, value = _judged(model, observation, int(action), before)
        played.frames.append(observation)
        played.actions.append(int(action))
        played.log_probs.append(log_prob)
        played.values.append(value)
        observation, *_ = env.step(int(action))
    return played


def _judged(model: Any, observation: Frame, action: int, state: Any) -> tuple[float, float]:
    """Log-probability and value, of the model's own policy; of an LSTM `predict` keeps only the actor's state, so 0."""
    inputs, _ = model.policy.obs_to_tensor(observation)
    chosen = torch.tensor([action])
    with torch.no_grad():
        if not hasattr(model.policy, "lstm_actor"):
            value, log_prob, _ = model.policy.evaluate_actions(inputs, chosen)
            return float(log_prob), float(value)
        lstm = model.policy.lstm_actor
        zeros = torch.zeros(lstm.num_layers, 1, lstm.hidden_size)
        states = (zeros, zeros) if state is None else tuple(torch.from_numpy(one) for one in state)
        distribution, _ = model.policy.get_distribution(inputs, states, torch.zeros(1))
        return float(distribution.log_prob(chosen)), 0.0
