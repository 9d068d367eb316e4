"""Distributions over actions, and their entropy."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from agent.action_space import ActionSpace
from agent.policy.distributions import Categorical, Normal, distribution_of, entropy_of
from agent.policy.heads import action_heads, choose

BOX: dict[str, Any] = {"continuous": {"low": [-1, -1], "high": [1, 1]}}
DICT = ActionSpace.model_validate({"dict": {"grasp": {"discrete": 2}, "move": BOX}})


@given(arrays.arrays(np.float32, 5, elements=st.floats(-50, 50, width=32)))
def test_the_entropy_of_discrete_actions_lies_between_none_and_that_of_equal_chances(row: NDArray[np.float32]) -> None:
    found = distribution_of(action_heads(ActionSpace(discrete=5)), row)
    assert isinstance(found, Categorical)
    assert found.probabilities.sum() == pytest.approx(1)
    assert 0 <= found.entropy <= math.log(5) + 1e-9


def test_equal_chances_have_the_logarithm_of_their_number() -> None:
    found = distribution_of(action_heads(ActionSpace(discrete=4)), np.zeros(4, np.float32))
    assert entropy_of(found) == pytest.approx(math.log(4))


def test_a_continuous_action_has_mean_and_deviation_before_clipping() -> None:
    heads = action_heads(ActionSpace.model_validate(BOX))
    found = distribution_of(heads, np.array([3.0, -0.5, 0.0, math.log(0.1)], np.float32))
    assert isinstance(found, Normal)
    assert found.mean.tolist() == [3.0, -0.5]
    assert found.deviation == pytest.approx([1.0, 0.1])
    assert found.entropy == pytest.approx(math.log(0.1) + math.log(2 * math.pi * math.e))


def test_the_entropy_is_the_expected_surprise() -> None:
    heads = action_heads(DICT)
    row = np.array([0.3, -0.4, 0.1, 0.2, -0.5, 0.5], np.float32)
    found = distribution_of(heads, row)
    assert isinstance(found, dict)
    assert list(found) == ["grasp", "move"]
    surprise = [-choose(heads, row, seed=1, step=step, deterministic=False)[1] for step in range(20_000)]
    assert entropy_of(found) == pytest.approx(np.mean(surprise), abs=0.03)
