"""The actor-critic (docs/paper.md#trainable): frame and memory vector -> distribution over actions, and value.

CNN and heads are the paper's; their sizes are settings of the bundle. There are three deliberate differences: the actor
outputs logits (docs/paper.md#q22; the same distribution as the paper's softmax), the argmax is per row (docs/paper.md#q2),
and the memory vector is standardised per feature by the buffers `memory_mean` and `memory_scale`, which are 0 and 1 for the
paper's plain concatenation.

agent.policy.heads defines the parameters of the action distribution.

Failure policy: wrong shapes raise torch's own errors.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agent.bundle import AgentBundle, PolicyPart
from agent.cuda_graphs import graphed
from agent.frame import Frame
from agent.policy.heads import row_sizes
from agent.safetensors_file import read_weights

Features = NDArray[np.float32]  # (features,)
Vector = NDArray[np.float32]  # (dimension,), a memory vector
Parameters = NDArray[np.float32]  # one row of agent.policy.heads


def _conv_sizes(side: int, rule: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns kernel and stride of both convolutions for a frame's shorter side; ValueError if the frame is too small.

    rule: whether the second follows the first feature map, or the frame as the first one does (docs/paper.md#trainable).
    """
    first = (8, 4) if side > 9 else (4, 2)
    middle = (side - first[0]) // first[1] + 1
    second = (4, 2) if (middle if rule == "map" else side) > 9 else (2, 1)
    if middle < second[0]:
        raise ValueError(
            f"policy.kernels {rule!r}: a frame with a side of {side} pixels leaves {middle} for a kernel of {second[0]}"
        )
    return first, second


def _after(side: int, *convolutions: tuple[int, int]) -> int:
    """Returns what is left of a side after convolutions of these kernels and strides, without computing any."""
    for kernel, stride in convolutions:
        side = (side - kernel) // stride + 1
    if side < 1:
        raise ValueError(f"frames are too small for the convolutions {convolutions}")
    return side


class ActorCritic(nn.Module):
    """CNN, actor head and critic head."""

    memory_mean: Tensor
    memory_scale: Tensor

    def __init__(
        self,
        shape: PolicyPart,
        *,
        height: int,
        width: int,
        memory: int,
        actions: int,
        deviations: int = 0,
        output_gain: float = 2**0.5,
    ) -> None:
        """Creates the networks; `actions` and `deviations` are the `row_sizes` of the action space.

        memory: dimension of the memory vector. actions: outputs of the actor. deviations: number of learned log standard
        deviations, one for each continuous dimension. output_gain: gain of the actor's last layer (docs/paper.md#q22).
        """
        super().__init__()
        first, second = _conv_sizes(min(height, width), shape.kernels)
        one, two = shape.channels
        convolutions = nn.Sequential(
            nn.Conv2d(3, one, *first), nn.ReLU(), nn.Conv2d(one, two, *second), nn.ReLU(), nn.Flatten()
        )
        flat = two * _after(height, first, second) * _after(width, first, second)
        self.cnn = nn.Sequential(convolutions, nn.Linear(flat, shape.features), nn.ReLU())
        joint = shape.features + memory
        self.actor = _head(joint, shape.actor_hidden, actions)
        self.critic = _head(joint, shape.critic_hidden, 1)
        self.log_std = nn.Parameter(torch.zeros(deviations)) if deviations else None
        self.register_buffer("memory_mean", torch.zeros(memory))
        self.register_buffer("memory_scale", torch.ones(memory))
        self._initialise(output_gain)

    def encode(self, frames: Tensor) -> Tensor:
        """Returns the CNN features of frames: uint8 (rows, 3, height, width) -> float32 (rows, features)."""
        out: Tensor = self.cnn(frames.float() / 255)
        return out

    def decide(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Returns parameters (rows, actions + deviations) and values (rows,) for features and memory vectors float32 (rows,
        memory).
        """
        joint = torch.cat([features, (memory - self.memory_mean) * self.memory_scale], dim=1)
        parameters, values = self.actor(joint), self.critic(joint).squeeze(1)
        if self.log_std is not None:
            parameters = torch.cat([parameters, self.log_std.expand(len(parameters), -1)], dim=1)
        return parameters, values

    def _initialise(self, output_gain: float) -> None:
        for module in self.cnn.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight, gain=2**0.5)
        for head in (self.actor, self.critic):
            for module in head.modules():
                if isinstance(module, nn.Linear):
                    nn.init.orthogonal_(module.weight, gain=output_gain if module is self.actor[-1] else 2**0.5)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)


def _head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    norm = nn.LayerNorm(hidden, elementwise_affine=False)
    return nn.Sequential(nn.Linear(inputs, hidden), norm, nn.ReLU(), nn.Linear(hidden, outputs))


class PolicyEngine:
    """Runs the actor-critic on batches of single frames and memory vectors."""

    def __init__(self, model: ActorCritic, device: str) -> None:
        self._model, self._device = model.to(device), device
        self._encode = graphed(self._encoded, torch.device(device))
        self._decide = graphed(self._decided, torch.device(device))

    @torch.inference_mode()
    def encode(self, frames: Sequence[Frame]) -> list[Features]:
        """Returns the CNN features, float32 (features,), of each frame uint8 (height, width, 3)."""
        return list(self._encode(torch.from_numpy(np.stack(frames)).to(self._device)).cpu().numpy())

    @torch.inference_mode()
    def decide(self, pairs: Sequence[tuple[Features, Vector]]) -> list[tuple[Parameters, float]]:
        """Returns (parameters of the action distribution, value) for each pair (features, memory vector)."""
        features, memory = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
        decided = self._decide(torch.cat([features, memory], 1).to(self._device)).cpu()
        return list(zip(decided[:, :-1].contiguous().numpy(), decided[:, -1].tolist(), strict=True))

    def _encoded(self, frames: Tensor) -> Tensor:
        return self._model.encode(frames.permute(0, 3, 1, 2).contiguous())

    def _decided(self, joint: Tensor) -> Tensor:
        """Features beside memory vectors -> parameters beside values: one tensor each, so one copy to and from a device."""
        memory = len(self._model.memory_mean)
        parameters, values = self._model.decide(joint[:, :-memory], joint[:, -memory:])
        return torch.cat([parameters, values[:, None]], 1)


def load_actor_critic(bundle: AgentBundle) -> ActorCritic:
    """Loads the bundle's actor-critic with frozen weights; ValueError names the file whose tensors do not fit."""
    manifest = bundle.manifest
    actions, deviations = row_sizes(manifest.actions)
    with torch.device("meta"):  # no memory, whatever sizes the manifest claims: the weights' own tensors are taken
        model = ActorCritic(
            manifest.policy,
            height=manifest.observation.height,
            width=manifest.observation.width,
            memory=manifest.memory.dimension,
            actions=actions,
            deviations=deviations,
        )
    path = bundle.path(manifest.policy.weights)
    _load(model, path)
    return model.eval().requires_grad_(False)


def _load(model: ActorCritic, path: Path) -> None:
    try:
        model.load_state_dict({name: tensor.float() for name, tensor in read_weights(path).items()}, assign=True)
    except RuntimeError as error:
        raise ValueError(f"policy weights {path}: {error}") from None
