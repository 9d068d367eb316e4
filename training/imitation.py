"""PPO that begins with imitation: in the first steps the policy learns the actions of the environment's own expert.

If a reward comes only after a long sequence of correct actions (go to a sign, read it, remember, touch the named object),
PPO alone receives too few rewards within the budget of two cores. An environment that provides the correct action in its
current state (`expert_action() -> int`) can first be imitated (DAgger, Ross et al. 2011): expert and policy share the
acting, and the expert's share decreases linearly to 0. In each visited state the expert states what it would have done, and
cross-entropy on the states of the last `KEPT` rollouts replaces PPO's loss; the critic is trained as usual. Then PPO
continues alone. The expert may know things that a frame does not show; the policy can only learn what follows from its frame
and its memory.

Failure policy: an environment without an expert raises AttributeError at its first step.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, unwrap_vec_wrapper

KEPT = 50  # rollouts; 1.7 GB of 60x80 frames in rollouts of 64 steps in 32 environments
EPOCHS = 8  # states sampled after each rollout, in multiples of a rollout's size, from all stored rollouts
MIXED = 8  # rollouts in a minibatch


class ExpertRecord(VecEnvWrapper):
    """Asks the expert of every environment before each step, and lets it act instead of the policy with probability `share`.

    While `share` is 0, no expert is asked.
    """

    def __init__(self, venv: VecEnv, *, seed: int) -> None:
        super().__init__(venv)
        self.share = 0.0
        self._asked: list[NDArray[np.int64]] = []
        self._rng = np.random.default_rng(seed)

    def reset(self) -> Any:
        """Resets the environments."""
        return self.venv.reset()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Asks the experts, then steps."""
        if not self.share:
            self.venv.step_async(actions)
            return
        self._asked.append(np.array(self.venv.env_method("expert_action"), np.int64))
        experts = self._rng.random(self.num_envs) < self.share
        self.venv.step_async(np.where(experts, self._asked[-1], actions))

    def step_wait(self) -> Any:
        """Waits for the step."""
        return self.venv.step_wait()

    def take(self) -> NDArray[np.int64]:
        """Returns the experts' actions, (steps, num_envs), of the steps since the last call in which they were asked."""
        asked, self._asked = self._asked, []
        return np.array(asked, np.int64)


@dataclass(frozen=True)
class States:
    """The states of one rollout, flattened: observations by name, the expert's actions, returns."""

    observations: dict[str, NDArray[Any]]
    wanted: NDArray[np.int64]
    returns: NDArray[np.float32]


class ImitationPPO(PPO):
    """stable-baselines3's PPO, except that it imitates until `imitation` steps are done.

    Raises ValueError if the environment is not wrapped in an `ExpertRecord`.
    """

    def __init__(self, policy: Any, environment: VecEnv, *, imitation: int, **kwargs: Any) -> None:
        record = unwrap_vec_wrapper(environment, ExpertRecord)
        if record is None:
            raise ValueError("environment: ImitationPPO needs an ExpertRecord around it")
        super().__init__(policy, environment, **kwargs)
        self._record, self._imitation = record, imitation
        self._met: deque[States] = deque(maxlen=KEPT)
        self._rng = np.random.default_rng(self.seed)

    def collect_rollouts(self, *args: Any, **kwargs: Any) -> bool:
        """Collects rollouts as PPO does, with the expert's share of the actions."""
        self._record.share = max(0.0, 1 - self.num_timesteps / self._imitation)
        return super().collect_rollouts(*args, **kwargs)

    def train(self) -> None:
        """Learns from the rollout in the buffer."""
        wanted = self._record.take()
        if self.num_timesteps > self._imitation:
            self._met.clear()
            super().train()
            return
        buffer: Any = self.rollout_buffer
        seen = {name: values.reshape(-1, *values.shape[2:]) for name, values in buffer.observations.items()}
        self._met.append(States(seen, wanted.ravel(), buffer.returns.ravel()))
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        for _ in range(EPOCHS * wanted.size // self.batch_size):
            observations, actions, returns = self._draw()
            values, log_prob, _ = self.policy.evaluate_actions(observations, actions)
            value_loss = torch.nn.functional.mse_loss(returns, values.flatten())
            loss = self.vf_coef * value_loss - log_prob.mean()
            self.policy.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self.logger.record("train/imitation_loss", -log_prob.mean().item())

    def _draw(self) -> tuple[Any, torch.Tensor, torch.Tensor]:
        """Returns a minibatch of states: observations, the expert's actions, returns."""
        count = self.batch_size // MIXED
        drawn = [
            (self._met[at], self._rng.integers(len(self._met[at].wanted), size=count))
            for at in self._rng.integers(len(self._met), size=MIXED)
        ]
        names = drawn[0][0].observations
        observations = {name: np.concatenate([met.observations[name][rows] for met, rows in drawn]) for name in names}
        actions = np.concatenate([met.wanted[rows] for met, rows in drawn])
        returns = np.concatenate([met.returns[rows] for met, rows in drawn])
        tensors: Any = {name: torch.from_numpy(values).to(self.device) for name, values in observations.items()}
        return tensors, torch.from_numpy(actions).to(self.device), torch.from_numpy(returns).to(self.device)
