"""MiniGrid's environments, many at once."""

from typing import Any

import numpy as np
import pytest

from training.environments.minigrid import MiniGridVecEnv

S7 = "MiniGrid-MemoryS7-v0"


def test_a_row_that_ends_goes_on_with_the_first_frame_of_its_next_episode() -> None:
    environment = MiniGridVecEnv([(S7, 4), ("MiniGrid-MemoryS11-v0", 4)], seed=3)
    frames: Any = environment.reset()
    assert frames.shape == (8, 3, 56, 56)
    assert frames.dtype == np.uint8
    rng = np.random.default_rng(0)
    lengths = np.zeros(8, int)
    ended = 0
    for _ in range(400):
        frames, rewards, dones, infos = environment.step(rng.choice([0, 1, 2, 2], 8))
        lengths += 1
        for row in np.flatnonzero(dones):
            info = infos[row]
            assert info["episode"]["l"] == lengths[row]
            assert info["episode"]["r"] == pytest.approx(rewards[row])  # MiniGrid-Memory pays at the end alone
            assert info["environment"] == (S7 if row < 4 else "MiniGrid-MemoryS11-v0")
            assert not np.array_equal(info["terminal_observation"], frames[row])
            lengths[row], ended = 0, ended + 1
        assert all(not info for info, done in zip(infos, dones, strict=True) if not done)
    assert ended > 5
    environment.close()
