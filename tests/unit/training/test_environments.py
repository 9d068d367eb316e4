"""Any environment by its name, alone and many at once."""

from typing import Any

import numpy as np
import pytest

from training.environments import single_environment, vector_environment


def test_any_environment_that_gymnasium_knows_can_be_trained_on() -> None:
    environment = vector_environment([("docs.examples.signals:Signals-v0", 3)], seed=1)
    frames: Any = environment.reset()
    assert frames.shape == (3, 3, 56, 56)
    for step in range(6):
        _, rewards, dones, infos = environment.step(np.array([0, 0, 1]))
        assert dones.all() == (step == 5)
    signals = frames[:, :, 28, 28].argmax(axis=1)  # the brightest channel: 0 red, 1 green
    assert rewards.tolist() == (signals == [0, 0, 1]).tolist()
    assert {info["environment"] for info in infos} == {"docs.examples.signals:Signals-v0"}


def test_an_environment_without_frames_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"gymnasium:CartPole-v1: observation_space: expected uint8"):
        single_environment("gymnasium:CartPole-v1")


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="got 'CartPole-v1'"):
        single_environment("CartPole-v1")
