"""`ActorCritic` as a stable-baselines3 policy: PPO trains exactly the module that is served.

In a rollout each distinct frame is encoded once; in the updates that follow, frames that share patches are encoded by patch
(training.patches), and the part of the heads' first layers that reads the frame is computed once per distinct frame. Both
give the same features and gradients up to the order of float32 sums.

Failure policy: raises no errors of its own.
"""

from typing import Any

import gymnasium
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor
from torch.distributions import Categorical
from torch.nn.functional import linear

from agent.bundle import PolicyPart
from agent.policy.actor_critic import ActorCritic
from agent.policy.heads import row_sizes
from training.actions import FlatDistribution, action_space_of, distribution
from training.distinct import distinct
from training.patches import SharedPatches

Observation = Any  # stable-baselines3's wide type; always a dict of tensors here


class ServedPolicy(ActorCriticPolicy):
    """Delegates all computation to an `ActorCritic`; observations have `frame` and `memory`, those of a minibatch also `row`
    (training.rollouts).
    """

    def __init__(self, *args: Any, shape: PolicyPart, output_gain: float, **kwargs: Any) -> None:
        self._shape, self._output_gain = shape, output_gain
        self._known: dict[int, Tensor] = {}  # features of the rollout's frames, by mark
        self._frames: Tensor | None = None  # the distinct frames of a finished rollout, and their patches
        self._patches: SharedPatches | None = None
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Any) -> None:
        spaces, self._actions = self.observation_space, action_space_of(self.action_space)
        assert isinstance(spaces, gymnasium.spaces.Dict)
        outputs, deviations = row_sizes(self._actions)
        frame, memory = spaces["frame"].shape, spaces["memory"].shape
        assert frame is not None
        assert memory is not None
        self.served = ActorCritic(
            self._shape,
            height=frame[1],
            width=frame[2],
            memory=memory[0],
            actions=outputs,
            deviations=deviations,
            output_gain=self._output_gain,
        )
        optimizer: Any = self.optimizer_class
        self.optimizer = optimizer(self.served.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def set_training_mode(self, mode: bool) -> None:
        """Sets the mode. Weights change only in training mode, so cached features of frames are valid for one rollout."""
        self._known.clear()
        super().set_training_mode(mode)

    def _remembered(self, frames: Tensor) -> Tensor:
        """Returns features (rows, features); each distinct frame is encoded once in a rollout."""
        marks, first, rows = distinct(frames)
        new = [at for at, mark in enumerate(marks) if mark not in self._known]
        if new:
            encoded = self.served.encode(frames[first[new]])
            self._known.update((marks[at], row) for at, row in zip(new, encoded, strict=True))
        return torch.stack([self._known[mark] for mark in marks])[rows]

    def _encode(self, obs: Observation) -> tuple[Tensor, Tensor]:
        """Returns features of the distinct frames of a minibatch, with gradients, and each row's index among them."""
        frames = obs["frame"]
        if "row" not in obs:
            _, first, rows = distinct(frames)
            return self.served.encode(frames[first]), rows
        if self._frames is not frames:
            self._frames, self._patches = frames, SharedPatches.of(self.served, frames)
        used, rows = obs["row"].flatten().unique(return_inverse=True)
        return self._patches.encode(self.served, used) if self._patches else self.served.encode(frames[used]), rows

    def _judge(self, obs: Observation) -> tuple[Categorical | FlatDistribution, Tensor]:
        if torch.is_grad_enabled():
            parameters, values = decide_rows(self.served, *self._encode(obs), obs["memory"])
        else:
            parameters, values = self.served.decide(self._remembered(obs["frame"]), obs["memory"])
        return distribution(self._actions, parameters), values

    def forward(self, obs: Observation, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Returns actions, values and log-probabilities."""
        drawn_from, values = self._judge(obs)
        actions = drawn_from.mode if deterministic else drawn_from.sample()
        return actions, values[:, None], drawn_from.log_prob(actions)

    def evaluate_actions(self, obs: Observation, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns values, log-probabilities of `actions`, and entropies."""
        drawn_from, values = self._judge(obs)
        return values[:, None], drawn_from.log_prob(actions), drawn_from.entropy()

    def predict_values(self, obs: Observation) -> Tensor:
        """Returns values."""
        return self._judge(obs)[1][:, None]


def decide_rows(served: ActorCritic, features: Tensor, rows: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Returns `ActorCritic.decide` of `features[rows]` and `memory`.

    The first layer of a head is linear, so its product with the features is computed before they are repeated. Memory
    vectors get no gradient.
    """
    standard = (memory - served.memory_mean) * served.memory_scale
    outputs = []
    for head in (served.actor, served.critic):
        first: Any = head[0]
        of_frame, of_memory = first.weight.split([features.shape[1], memory.shape[1]], dim=1)
        hidden = linear(features, of_frame, first.bias)[rows] + linear(standard, of_memory)
        outputs.append(head[1:](hidden))
    parameters, values = outputs
    if served.log_std is not None:
        parameters = torch.cat([parameters, served.log_std.expand(len(parameters), -1)], dim=1)
    return parameters, values.squeeze(1)


class LinearEntropySchedule(BaseCallback):
    """Linear schedule of PPO's entropy coefficient from `initial` to `end` over the training; constant if `end` is None."""

    def __init__(self, initial: float, end: float | None) -> None:
        super().__init__()
        self._initial, self._end = initial, initial if end is None else end

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        model: Any = self.model
        left = max(0.0, 1 - self.num_timesteps / self.locals["total_timesteps"])
        model.ent_coef = self._end + (self._initial - self._end) * left


class MemoryStatistics(BaseCallback):
    """Standardises the memory vector per feature with the statistics of the first rollouts, which are then fixed."""

    def __init__(self, rollouts: int) -> None:
        super().__init__()
        self.rollouts, self.seen = rollouts, 0
        self._count, self._sum, self._squares = 0, torch.zeros(()), torch.zeros(())

    def state_dict(self) -> dict[str, Any]:
        """Returns everything needed to resume."""
        return {"seen": self.seen, "count": self._count, "sum": self._sum, "squares": self._squares}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.seen, self._count, self._sum, self._squares = (state[key] for key in ("seen", "count", "sum", "squares"))

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.seen >= self.rollouts:
            return
        self.seen += 1
        model: Any = self.model
        memory = torch.as_tensor(model.rollout_buffer.observations["memory"], dtype=torch.float64).flatten(0, 1)
        self._count += len(memory)
        self._sum, self._squares = self._sum + memory.sum(0), self._squares + (memory**2).sum(0)
        mean = self._sum / self._count
        deviation = (self._squares / self._count - mean**2).clamp_min(1e-8).sqrt()
        served = model.policy.served
        served.memory_mean.copy_(mean)
        served.memory_scale.copy_(1 / deviation)
