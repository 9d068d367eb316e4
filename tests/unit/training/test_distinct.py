"""Encoding distinct frames once changes nothing."""

import numpy as np
import torch

from agent.bundle import PolicyPart
from agent.policy.actor_critic import ActorCritic
from training.distinct import distinct, marks_of


def some_frames(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)


def test_encoding_distinct_frames_once_gives_the_same_features_and_gradients() -> None:
    frames = torch.from_numpy(some_frames(6)).permute(0, 3, 1, 2)[torch.tensor([0, 1, 0, 2, 5, 5, 1, 0])]
    marks, first, rows = distinct(frames)
    assert len(marks) == len(set(marks)) == 4
    assert torch.equal(frames[first][rows], frames)
    model = ActorCritic(
        PolicyPart(weights="policy.safetensors", channels=(4, 4), features=8), height=8, width=8, memory=1, actions=2
    )
    weights = torch.arange(8.0)[:, None]
    (model.encode(frames) * weights).sum().backward()
    plain = [p.grad.clone() for p in model.cnn.parameters() if p.grad is not None]
    model.zero_grad()
    (model.encode(frames[first])[rows] * weights).sum().backward()
    once = [p.grad for p in model.cnn.parameters() if p.grad is not None]
    assert len(plain) == len(once) == 6
    for one, other in zip(plain, once, strict=True):
        torch.testing.assert_close(one, other)


def test_frames_that_differ_in_one_byte_are_distinct() -> None:
    frames = np.zeros((2, 3, 5, 5), np.uint8)  # 75 bytes: not a whole number of 8-byte words
    for byte in range(75):
        changed = frames.copy()
        changed.reshape(2, -1)[1, byte] = 1
        assert len(distinct(torch.from_numpy(changed))[0]) == 2, byte


def test_frames_that_differ_in_the_last_bytes_of_many_words_are_distinct() -> None:
    rng = np.random.default_rng(0)
    frames = np.zeros((2000, 24, 8), np.uint8)  # words of eight bytes
    frames[:, :, 7] = rng.integers(0, 2, (2000, 24)) * 128
    assert len(torch.unique(marks_of(torch.from_numpy(frames)))) == len(np.unique(frames.reshape(2000, -1), axis=0))
