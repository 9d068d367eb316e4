"""Which histories ExplainStep imagines, and how it compares what the policy makes of them."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from agent.action_space import ActionSpace
from agent.policy.heads import action_heads, probabilities, total_variation
from agent.vocabulary import Word
from services.policy.explain.ablations import History, history_of, reach_from_step
from services.protocol.values import CommittedStep

WIDE: dict[str, Any] = {"continuous": {"low": [-1000, -1000], "high": [1000, 1000]}}
DISCRETE, BOX = ActionSpace(discrete=4), ActionSpace.model_validate(WIDE)
DICT = ActionSpace.model_validate({"dict": {"grasp": {"discrete": 2}, "move": WIDE}})
ROWS = arrays.arrays(np.float32, 4, elements=st.floats(-20, 20, width=32))


def step(*words: tuple[int, float]) -> CommittedStep:
    return CommittedStep(
        words=[Word(one, f"word-{one}", similarity) for one, similarity in words],
        action=0,
        value=0.0,
        log_prob=0.0,
        frame_fingerprint=b"",
        history_digest=b"",
        time_us=0,
    )


def history(*steps: tuple[tuple[int, float], ...], first: int = 0, reach: int = 100) -> History:
    return history_of([(first + i, step(*words)) for i, words in enumerate(steps)], reach=reach)


def test_all_occurrences_of_a_word_are_taken_away_and_the_steps_own_words_stay() -> None:
    found = history(((1, 0.5), (2, 0.1)), ((3, 0.2), (1, 0.75)), ((1, 0.9), (2, 0.3)))
    assert found.rows == (1, 2, 3, 1, 1, 2)
    ablations = found.without_each_word()
    assert [(one.words[0].row, one.steps, one.rows) for one in ablations] == [
        (1, (0, 1), (2, 3, 1, 2)),
        (2, (0,), (1, 3, 1, 1, 2)),
        (3, (1,), (1, 2, 1, 1, 2)),
    ]
    assert ablations[0].words[0].similarity == 0.75  # its clearest sighting


def test_a_word_that_stands_twice_in_a_step_names_the_step_once() -> None:
    (ablation,) = history(((1, 0.5), (1, 0.5)), ((2, 0.1),)).without_each_word()
    assert (ablation.steps, ablation.rows) == ((0,), (2,))


def test_the_latest_steps_are_taken_away_one_by_one() -> None:
    found = history(((1, 0.5),), ((2, 0.5),), ((1, 0.5),), ((4, 0.5),), first=7)
    assert [(one.steps, one.rows) for one in found.without_each_step(2)] == [((8,), (1, 1, 4)), ((9,), (1, 2, 4))]
    assert [one.steps for one in found.without_each_step(64)] == [(7,), (8,), (9,)]


def test_the_first_step_has_nothing_to_take_away() -> None:
    found = history(((1, 0.5), (2, 0.5)))
    assert (found.rows, found.without_each_word(), found.without_each_step(64)) == ((1, 2), [], [])


@settings(deadline=None)
@given(k=st.integers(1, 4), reach=st.integers(0, 30), last=st.integers(0, 30))
def test_a_history_holds_exactly_the_words_within_reach(k: int, reach: int, last: int) -> None:
    first = reach_from_step(last, tokens_per_step=k, reach=reach)
    words = [tuple((10 * one + i, 0.0) for i in range(k)) for one in range(last + 1)]
    found = history(*words[first:], first=first, reach=reach)
    every = [word for one in words for word, _ in one]
    expected = every[max(0, len(every) - 1 - reach) :]
    assert list(found.rows[-len(expected) :]) == expected
    assert len(found.rows) == max(k, len(expected))  # the step's own words always stay
    assert {one for one, _ in found.past} <= set(range(first, last))
    if first > 0 and reach >= k:
        assert found.past[0][0] == first


@settings(deadline=None)
@given(one=ROWS, other=ROWS)
def test_the_distance_of_discrete_distributions_is_half_of_l1(one: NDArray[np.float32], other: NDArray[np.float32]) -> None:
    heads = action_heads(DISCRETE)
    p, q = (np.array(probabilities(heads, row)) for row in (one, other))
    assert p.sum() == pytest.approx(1)
    assert total_variation(heads, one, other) == pytest.approx(np.abs(p - q).sum() / 2, abs=1e-9)
    assert total_variation(heads, one, one) == 0


def overlap(distance: float) -> float:
    """Total variation distance of two unit normal distributions by integrating it."""
    x = np.linspace(-12, 12 + distance, 400_001)
    density = [np.exp(-((x - mean) ** 2) / 2) / math.sqrt(2 * math.pi) for mean in (0, distance)]
    return float(np.abs(density[0] - density[1]).sum() * (x[1] - x[0]) / 2)


@pytest.mark.parametrize("distance", [0.0, 0.1, 1.0, 2.5, 7.0])
@pytest.mark.parametrize("deviation", [0.5, 1.0, 3.0])
def test_the_distance_of_normal_distributions_is_what_their_densities_give(distance: float, deviation: float) -> None:
    log_std = math.log(deviation)
    one = np.array([1, -2, log_std, 0], np.float32)
    other = np.array([1 + distance * deviation * 0.6, -2 + distance * 0.8, log_std, 0], np.float32)
    assert total_variation(action_heads(BOX), one, other) == pytest.approx(overlap(distance), abs=1e-5)
    assert probabilities(action_heads(BOX), one) == []


def test_the_distance_of_several_parts_is_at_most_what_independence_gives() -> None:
    heads = action_heads(DICT)
    one = np.array([0, 0, 1, -2, 0, 0], np.float32)
    grasp = np.array([math.log(3), 0, 1, -2, 0, 0], np.float32)
    both = np.array([math.log(3), 0, 2, -2, 0, 0], np.float32)
    assert total_variation(heads, one, grasp) == pytest.approx(0.25, abs=1e-6)
    assert total_variation(heads, one, both) == pytest.approx(1 - 0.75 * (1 - overlap(1)), abs=1e-5)
    assert probabilities(heads, one) == []
