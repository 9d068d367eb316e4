"""A rollout's distinct frames, and an update that learns from them what it learns from all frames."""

import copy
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictRolloutBuffer

from agent.bundle import PolicyPart
from training.policy import ServedPolicy
from training.rollouts import DistinctRolloutBuffer

STEPS, ENVS, SIDE, MEMORY = 6, 4, 16, 5
OBSERVED = spaces.Dict(
    {"frame": spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8), "memory": spaces.Box(-np.inf, np.inf, (MEMORY,), np.float32)}
)
ACTIONS = spaces.Discrete(3)


def filled(kind: Any) -> Any:
    """A buffer of one rollout; its frames are five, each made of a repeated tile."""
    rng = np.random.default_rng(0)
    frames = np.tile(rng.integers(0, 256, (5, 3, 4, 4), np.uint8), (1, 1, SIDE // 4, SIDE // 4))
    buffer = kind(STEPS, OBSERVED, ACTIONS, device="cpu", n_envs=ENVS)
    for _ in range(STEPS):
        seen = {"frame": frames[rng.integers(5, size=ENVS)], "memory": rng.normal(size=(ENVS, MEMORY)).astype(np.float32)}
        numbers = torch.from_numpy(rng.normal(size=(2, ENVS)).astype(np.float32))
        buffer.add(seen, rng.integers(3, size=ENVS), rng.normal(size=ENVS), np.zeros(ENVS), numbers[0], numbers[1])
    buffer.compute_returns_and_advantage(torch.zeros(ENVS), np.zeros(ENVS, bool))
    return buffer


def minibatches(kind: Any) -> list[Any]:
    buffer = filled(kind)
    np.random.seed(3)
    return [*buffer.get(8), *buffer.get(8)]  # two epochs


def test_minibatches_are_those_of_the_plain_buffer() -> None:
    ours, plain = minibatches(DistinctRolloutBuffer), minibatches(DictRolloutBuffer)
    assert len(ours) == len(plain) == 6
    for one, other in zip(ours, plain, strict=True):
        assert len(one.observations["frame"]) == 5
        assert torch.equal(one.observations["frame"][one.observations["row"].flatten()], other.observations["frame"])
        assert torch.equal(one.observations["memory"], other.observations["memory"])
        for field in ("actions", "old_values", "old_log_prob", "advantages", "returns"):
            assert torch.equal(getattr(one, field), getattr(other, field)), field


def test_a_buffer_can_be_filled_again() -> None:
    buffer = filled(DistinctRolloutBuffer)
    list(buffer.get(8))
    buffer.reset()
    assert set(buffer.observations) == {"frame", "memory"}


def test_an_update_from_distinct_frames_has_the_gradients_of_the_plain_one() -> None:
    torch.manual_seed(0)
    shape = PolicyPart(weights="policy.safetensors", channels=(8, 16), features=32)
    policy = ServedPolicy(OBSERVED, ACTIONS, lambda _: 1e-3, shape=shape, output_gain=0.5)
    served = policy.served
    served.memory_mean.fill_(0.3)
    served.memory_scale.fill_(2.0)
    plain = copy.deepcopy(served)
    policy.set_training_mode(True)
    for one, other in zip(minibatches(DistinctRolloutBuffer), minibatches(DictRolloutBuffer), strict=True):
        actions = one.actions.long().flatten()
        values, log_prob, entropy = policy.evaluate_actions(one.observations, actions)
        assert policy._patches is not None
        logits, expected = plain.decide(plain.encode(other.observations["frame"]), other.observations["memory"])
        drawn_from = torch.distributions.Categorical(logits=logits)
        torch.testing.assert_close(values.flatten(), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(log_prob, drawn_from.log_prob(actions), rtol=1e-5, atol=1e-6)
        served.zero_grad()
        plain.zero_grad()
        (values.sum() + log_prob.sum() + entropy.sum()).backward()
        (expected.sum() + drawn_from.log_prob(actions).sum() + drawn_from.entropy().sum()).backward()
        for (name, ours), theirs in zip(served.named_parameters(), plain.parameters(), strict=True):
            assert theirs.grad is not None
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)
