"""Encoding each distinct patch once gives what the CNN gives."""

import numpy as np
import pytest
import torch
from torch import Tensor

from agent.bundle import PolicyPart
from agent.policy.actor_critic import ActorCritic
from training.distinct import distinct
from training.environments.minigrid import MiniGridVecEnv
from training.patches import SharedPatches


def minigrid_frames() -> Tensor:
    environment, rng = MiniGridVecEnv([("MiniGrid-MemoryS7-v0", 8)], seed=0), np.random.default_rng(0)
    frames = np.concatenate([environment.reset(), *(environment.step(rng.choice([0, 1, 2, 2], 8))[0] for _ in range(20))])
    seen = torch.from_numpy(frames)
    return seen[distinct(seen)[1]]


def actor_critic(side: int) -> ActorCritic:
    torch.manual_seed(0)
    part = PolicyPart(weights="policy.safetensors", channels=(8, 16), features=32)
    return ActorCritic(part, height=side, width=side, memory=1, actions=2)


def gradients(served: ActorCritic, features: Tensor) -> list[Tensor]:
    served.zero_grad()
    (features * torch.linspace(-1, 1, features.numel()).view_as(features)).sum().backward()
    return [weight.grad.clone() for weight in served.cnn.parameters() if weight.grad is not None]


def test_features_and_gradients_of_shared_patches_are_those_of_the_cnn() -> None:
    frames, served = minigrid_frames(), actor_critic(56)
    rows = torch.arange(len(frames)).flip(0)[: len(frames) // 2]
    patches = SharedPatches.of(served, frames)
    assert patches is not None
    plain, shared = served.encode(frames[rows]), patches.encode(served, rows)
    assert plain.abs().max() > 0.1
    torch.testing.assert_close(shared, plain, rtol=1e-5, atol=1e-6)
    ours, theirs = gradients(served, patches.encode(served, rows)), gradients(served, served.encode(frames[rows]))
    assert len(ours) == len(theirs) == 6
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_frames_without_common_patches_are_left_to_the_cnn() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (40, 3, 56, 56), np.uint8))
    assert SharedPatches.of(actor_critic(56), noise) is None


@pytest.mark.parametrize(("height", "width"), [(60, 80), (64, 56)])
def test_frames_need_not_be_square(height: int, width: int) -> None:
    part = PolicyPart(weights="policy.safetensors", channels=(8, 16), features=32)
    served = ActorCritic(part, height=height, width=width, memory=1, actions=2)
    tile = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 4, 4), np.uint8))
    frames = torch.stack([tile.repeat(1, height // 4, width // 4) + shade for shade in (0, 9)])
    patches = SharedPatches.of(served, frames)
    assert patches is not None
    torch.testing.assert_close(
        patches.encode(served, torch.tensor([1, 0])), served.encode(frames.flip(0)), rtol=1e-5, atol=1e-5
    )
