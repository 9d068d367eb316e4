"""PPO that begins with imitation: in the first steps the policy learns the actions of the environment's own expert.

Where a reward comes only after a long chain of right actions (go to a sign, read it, remember, touch what it named), PPO
alone sees too few of them within a budget of two cores. An environment that can say what should be done in its present
state (`expert_action() -> int`) may be learned from at first: the policy acts, the expert says what it would have done in
each state that was met (DAgger, Ross et al. 2011, without keeping older rollouts), and cross-entropy takes the place of
PPO's policy loss; the critic learns as ever. Then PPO goes on alone. The expert may know what a frame does not show; a
policy can learn from it only what its frame and its memory tell.

Failure policy: an environment without an expert raises AttributeError at its first step.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, unwrap_vec_wrapper


class ExpertRecord(VecEnvWrapper):
    """Asks every row's expert before each step."""

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self._asked: list[list[int]] = []

    def reset(self) -> Any:
        """As without this wrapper."""
        return self.venv.reset()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Asks, then steps."""
        self._asked.append(self.venv.env_method("expert_action"))
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """As without this wrapper."""
        return self.venv.step_wait()

    def take(self) -> NDArray[np.int64]:
        """The experts' actions of the steps since the last time, (steps, rows)."""
        asked, self._asked = self._asked, []
        return np.array(asked, np.int64)


class ImitationPPO(PPO):
    """stable-baselines3's PPO, except that it imitates until `imitation` steps are done."""

    def __init__(self, policy: Any, environment: VecEnv, *, imitation: int, **kwargs: Any) -> None:
        super().__init__(policy, environment, **kwargs)
        record = unwrap_vec_wrapper(environment, ExpertRecord)
        if record is None:
            raise ValueError("environment: ImitationPPO needs an ExpertRecord around it")
        self._record, self._imitation = record, imitation

    def train(self) -> None:
        """Learns from the rollout in the buffer."""
        wanted = self._record.take()
        if self.num_timesteps > self._imitation:
            super().train()
            return
        self.rollout_buffer.actions[:] = wanted[..., None]
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        for _ in range(self.n_epochs):
            for part in self.rollout_buffer.get(self.batch_size):
                values, log_prob, _ = self.policy.evaluate_actions(part.observations, part.actions.long().flatten())
                value_loss = torch.nn.functional.mse_loss(part.returns, values.flatten())
                loss = self.vf_coef * value_loss - log_prob.mean()
                self.policy.optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
                self.policy.optimizer.step()
        self.logger.record("train/imitation_loss", float(-log_prob.mean()))
