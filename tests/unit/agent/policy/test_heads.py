"""Action heads: draws depend on their episode alone, those of discrete agents stay as they were."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from torch.distributions import Categorical, Normal

from agent.action_space import ActionSpace
from agent.bundle import PolicyPart
from agent.policy.actor_critic import ActorCritic
from agent.policy.heads import action_heads, choose, choose_action, row_sizes
from services.protocol.actions import action_message

SMALL = PolicyPart(weights="policy.safetensors", channels=(4, 8), features=16, actor_hidden=8, critic_hidden=8)
WIDE: dict[str, Any] = {"continuous": {"low": [-1000, -1000], "high": [1000, 1000]}}
NARROW: dict[str, Any] = {"continuous": {"low": [-0.25, 0.1], "high": [0.5, 0.3]}}
DISCRETE = ActionSpace(discrete=5)
BOX, CLIPPED = ActionSpace.model_validate(WIDE), ActionSpace.model_validate(NARROW)
# Given in another order than the one they are drawn in.
DICT = ActionSpace.model_validate({"dict": {"turn": {"discrete": 3}, "move": WIDE, "grasp": {"discrete": 2}}})
Row = NDArray[np.float32]


def take(space: ActionSpace, row: Row, *, seed: int = 7, step: int = 0, deterministic: bool = False) -> tuple[Any, float]:
    return choose(action_heads(space), row, seed=seed, step=step, deterministic=deterministic)


def row_of(*values: float) -> Row:
    return np.array(values, np.float32)


def as_shipped(logits: Row, seed: int, step: int) -> tuple[int, float]:
    """How a discrete action has always been drawn, written out again: committed episodes rely on it."""
    shifted = logits.astype(np.float64) - logits.max()
    log_probs = shifted - np.log(np.exp(shifted).sum())
    uniform = np.random.Generator(np.random.Philox(key=[seed, step])).random()
    action = int(np.searchsorted(np.cumsum(np.exp(log_probs)), uniform, side="right").clip(0, len(logits) - 1))
    return action, float(log_probs[action])


@settings(deadline=None)
@given(
    logits=arrays.arrays(np.float32, 5, elements=st.floats(-30, 30, width=32)),
    seed=st.integers(0, 2**63 - 1),
    step=st.integers(0, 2**53 - 1),
)
def test_a_discrete_agent_draws_bit_for_bit_as_it_always_did(logits: Row, seed: int, step: int) -> None:
    expected = as_shipped(logits, seed, step)
    assert take(DISCRETE, logits, seed=seed, step=step) == expected
    assert choose_action(logits, seed=seed, step=step, deterministic=False) == expected


def test_the_first_discrete_part_of_a_dict_draws_as_a_discrete_agent() -> None:
    row = row_of(0.3, -0.2, 1.0, 0.0, 0.5, -0.5, 0.1, 0.0, 0.0)  # grasp, move, turn, deviations
    for step in range(50):
        action, _ = take(DICT, row, step=step)
        assert action["grasp"] == as_shipped(row[:2], 7, step)[0]


def test_parts_are_in_alphabetical_order_whatever_the_order_in_the_file() -> None:
    other = ActionSpace.model_validate({"dict": {"grasp": {"discrete": 2}, "turn": {"discrete": 3}, "move": WIDE}})
    row = np.linspace(0, 1, 9, dtype=np.float32)
    action, log_prob = take(DICT, row)
    again, same = take(other, row)
    assert list(action) == list(again) == ["grasp", "move", "turn"]
    assert action_message(action) == action_message(again)
    assert log_prob == same


def test_a_row_holds_outputs_part_by_part_and_then_deviations() -> None:
    assert row_sizes(DICT) == (7, 2)
    assert row_sizes(DISCRETE) == (5, 0)
    row = row_of(0, 9, 0.25, -0.75, 0, 0, 9, -1, -2)
    action, log_prob = take(DICT, row, deterministic=True)
    assert (action["grasp"], action["turn"]) == (1, 2)
    assert action["move"].tolist() == [0.25, -0.75]
    peak = -np.log(2 * np.pi) + 1 + 2  # of two normal densities with log deviations -1 and -2
    rest = sum(float(torch.log_softmax(torch.tensor(part), 0).max()) for part in ([0.0, 9.0], [0.0, 0.0, 9.0]))
    assert log_prob == pytest.approx(peak + rest, abs=1e-6)


def test_a_vector_is_drawn_with_the_mean_and_deviation_of_its_row() -> None:
    row = row_of(3, -2, np.log(0.5), np.log(4))
    drawn = np.array([take(BOX, row, step=step)[0] for step in range(20_000)])
    assert drawn.dtype == np.float32
    assert drawn.mean(0) == pytest.approx([3, -2], abs=0.1)
    assert drawn.std(0) == pytest.approx([0.5, 4], rel=0.03)
    assert abs(float(np.corrcoef(drawn.T)[0, 1])) < 0.03, "the dimensions are independent"
    assert abs(float(np.corrcoef(drawn[1:, 0], drawn[:-1, 0])[0, 1])) < 0.03, "and so are neighbouring steps"


@settings(deadline=None)
@given(
    mean=arrays.arrays(np.float32, 2, elements=st.floats(-5, 5, width=32)),
    log_std=arrays.arrays(np.float32, 2, elements=st.floats(-3, 1, width=32)),
    seed=st.integers(0, 2**63 - 1),
)
def test_the_log_probability_of_a_vector_is_that_of_a_normal_distribution(mean: Row, log_std: Row, seed: int) -> None:
    action, log_prob = take(BOX, np.concatenate([mean, log_std]), seed=seed)
    normal = Normal(torch.from_numpy(mean).double(), torch.from_numpy(log_std).double().exp())
    assert log_prob == pytest.approx(float(normal.log_prob(torch.from_numpy(action)).sum()), abs=1e-3)


def test_a_vector_is_clipped_to_float32_bounds_and_its_log_probability_is_of_the_draw() -> None:
    low, high = row_of(-0.25, 0.1), row_of(0.5, 0.3)
    at_bound = 0
    for step in range(200):
        row = row_of(0.4, 0.2, 0, -3)
        unclipped, expected = take(BOX, row, step=step)
        action, log_prob = take(CLIPPED, row, step=step)
        assert log_prob == expected
        assert np.array_equal(action, unclipped.clip(low, high))
        at_bound += int((action == high).any())
    assert 0 < at_bound < 200
    assert take(CLIPPED, row_of(5, -5, 0, 0), deterministic=True)[0].tolist() == [high[0], low[1]]


@pytest.mark.parametrize("space", [BOX, DICT], ids=["continuous", "dict"])
def test_an_action_depends_on_row_seed_and_step_alone(space: ActionSpace) -> None:
    row = np.linspace(-1, 1, sum(row_sizes(space)), dtype=np.float32)

    def drawn(seed: int, steps: range) -> list[bytes]:
        return [action_message(take(space, row, seed=seed, step=step)[0]).SerializeToString() for step in steps]

    expected = drawn(7, range(50))
    np.random.seed(0)  # the process-wide generator has no part in it
    before = repr(np.random.get_state())
    assert drawn(7, range(49, -1, -1))[::-1] == expected
    assert len(set(expected)) == 50
    assert not set(drawn(8, range(50))) & set(expected)
    assert repr(np.random.get_state()) == before


def test_the_log_probability_of_a_dict_is_the_sum_of_its_parts() -> None:
    row = np.linspace(-1, 1, 9, dtype=np.float32)
    for step in range(20):
        action, log_prob = take(DICT, row, step=step)
        move = Normal(torch.from_numpy(row[2:4]), torch.from_numpy(row[7:]).exp()).log_prob(torch.from_numpy(action["move"]))
        indices = [(row[:2], action["grasp"]), (row[4:7], action["turn"])]
        parts = sum(float(Categorical(logits=torch.from_numpy(one)).log_prob(torch.tensor(index))) for one, index in indices)
        assert log_prob == pytest.approx(float(move.sum()) + parts, abs=1e-4)


def test_the_actor_critic_appends_the_learned_deviations_to_every_row() -> None:
    torch.manual_seed(0)
    outputs, deviations = row_sizes(DICT)
    model = ActorCritic(SMALL, height=56, width=56, memory=12, actions=outputs, deviations=deviations)
    assert model.log_std is not None
    model.log_std.data = torch.tensor([0.5, -0.5])
    features, memory = torch.randn(3, 16), torch.randn(3, 12)
    rows, values = model.decide(features, memory)
    assert rows.shape == (3, 9)
    assert values.shape == (3,)
    assert torch.equal(rows[:, :7], model.actor(torch.cat([features, memory], dim=1)))
    assert rows[:, 7:].tolist() == [[0.5, -0.5]] * 3
    rows.sum().backward()
    assert model.log_std.grad is not None
    assert model.log_std.grad.tolist() == [3, 3]


def test_a_discrete_actor_critic_has_no_deviations_so_older_weights_load() -> None:
    model = ActorCritic(SMALL, height=56, width=56, memory=12, actions=7)
    assert "log_std" not in model.state_dict()
    assert model.decide(torch.zeros(2, 16), torch.zeros(2, 12))[0].shape == (2, 7)
