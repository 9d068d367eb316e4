"""Actions in training: gymnasium's spaces as a bundle states them, flat actions, and the distribution that is served."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.distributions import Categorical

from agent.action_space import ActionSpace
from agent.policy.heads import action_heads, choose, row_sizes
from training.actions import FlatBox, FlatDistribution, FlattenAction, action_space_of, distribution

BOX = spaces.Box(np.array([-1, 0], np.float32), np.array([1, 0.3], np.float32))
DICT = spaces.Dict({"turn": spaces.Discrete(3), "move": BOX, "grasp": spaces.Discrete(2)})
# Bounds far away, so that what is served is what was drawn.
WIDE = ActionSpace.model_validate(
    {"dict": {"turn": {"discrete": 3}, "move": {"continuous": {"low": [-99, -99], "high": [99, 99]}}}}
)


class Recorder(gymnasium.Env[Any, Any]):
    """Keeps the actions it is given; its space refuses wrong ones."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = spaces.Discrete(1), space
        self.given: list[Any] = []

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.given.append(action)
        return 0, 0.0, False, False, {}


def test_a_space_of_gymnasium_becomes_one_of_a_bundle() -> None:
    assert action_space_of(spaces.Discrete(7)) == ActionSpace(discrete=7)
    found = action_space_of(DICT).spaces
    assert list(found) == list(DICT.keys()) == ["grasp", "move", "turn"]
    bounds = found["move"].continuous
    assert bounds is not None
    for mine, theirs in zip(bounds.arrays(), (BOX.low, BOX.high), strict=True):
        assert mine.tobytes() == theirs.tobytes()


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3, start=1),
        spaces.Box(0, 1, (2, 2)),
        spaces.MultiBinary(3),
        spaces.Dict({"inner": spaces.Dict({"a": spaces.Discrete(2)})}),
        spaces.Box(-np.inf, np.inf, (2,)),
        spaces.Box(np.array([0, -np.inf], np.float32), np.array([1, 1], np.float32)),
        spaces.Dict({"move": spaces.Box(0, np.inf, (2,))}),
    ],
    ids=str,
)
def test_a_space_that_no_agent_can_have_is_refused(space: spaces.Space[Any]) -> None:
    with pytest.raises(
        ValueError, match=r"action space: (expected|an agent's actions need finite bounds, got Box.*TransformAction)"
    ):
        action_space_of(space)


@pytest.mark.parametrize("space", [spaces.Discrete(3), BOX, DICT], ids=["discrete", "box", "dict"])
def test_flat_actions_reach_the_environment_in_its_own_form(space: spaces.Space[Any]) -> None:
    recorder = Recorder(space)
    wrapped = FlattenAction(recorder)
    wrapped.action_space.seed(0)
    for _ in range(50):
        wrapped.step(wrapped.action_space.sample())
    assert len({repr(action) for action in recorder.given}) > 1
    assert action_space_of(wrapped.action_space) == action_space_of(space)


def test_a_flat_action_is_its_parts_in_order() -> None:
    recorder = Recorder(DICT)
    wrapped = FlattenAction(recorder)
    wrapped.step(np.array([1, -0.5, 0.25, 2], np.float32))
    (given,) = recorder.given
    assert (given["grasp"], given["move"].tolist(), given["turn"]) == (1, [-0.5, 0.25], 2)
    assert wrapped.action_space == FlatBox(action_space_of(DICT))
    assert isinstance(wrapped.action_space, FlatBox)
    assert wrapped.action_space.high.tolist() == [1, 1, np.float32(0.3), 2]


def test_a_discrete_space_keeps_the_distribution_it_always_had() -> None:
    logits = torch.randn(4, 7)
    found = distribution(ActionSpace(discrete=7), logits)
    assert isinstance(found, Categorical)
    assert torch.equal(found.mode, logits.argmax(dim=1))


def test_training_and_serving_agree_on_the_log_probability_of_what_is_served() -> None:
    torch.manual_seed(0)
    rows = torch.randn(30, sum(row_sizes(WIDE)))
    trained = distribution(WIDE, rows)
    assert isinstance(trained, FlatDistribution)
    served = [choose(action_heads(WIDE), row.numpy(), seed=3, step=i, deterministic=False) for i, row in enumerate(rows)]
    parts: list[Any] = [action for action, _ in served]
    flat = torch.tensor([[*part["move"].tolist(), part["turn"]] for part in parts])
    expected = [log_prob for _, log_prob in served]
    assert trained.log_prob(flat).tolist() == pytest.approx(expected, abs=1e-4)
    best: list[Any] = [choose(action_heads(WIDE), row.numpy(), seed=3, step=0, deterministic=True)[0] for row in rows]
    assert trained.mode.tolist() == [[*part["move"].tolist(), part["turn"]] for part in best]


def test_the_entropy_is_the_mean_surprise_of_the_samples() -> None:
    torch.manual_seed(0)
    row = torch.tensor([[0.5, -1.0, 0.2, 1.0, -0.5, -0.7, 0.4]])
    many = FlatDistribution(WIDE, row.expand(20_000, -1))
    samples = many.sample()
    assert samples.shape == (20_000, 3)
    assert set(samples[:, 2].tolist()) == {0, 1, 2}
    assert float(-many.log_prob(samples).mean()) == pytest.approx(float(many.entropy()[0]), abs=0.03)


def test_gradients_reach_means_deviations_and_logits() -> None:
    row = torch.zeros(1, 7, requires_grad=True)
    FlatDistribution(WIDE, row).log_prob(torch.tensor([[1.0, -1.0, 2.0]])).sum().backward()
    assert row.grad is not None
    assert bool((row.grad[0, [0, 1, 2, 3, 4]] != 0).all())
    assert row.grad[0, 5:].tolist() == [0, 0], "one deviation away from the mean is where the density does not depend on it"
