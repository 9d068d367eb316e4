"""The rolling digest of a history."""

from hypothesis import given
from hypothesis import strategies as st

from agent.history import DIGEST_BYTES, empty_history, extend_history, history_reach

AGENT = "a" * 64
WORDS = st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)
HISTORIES = st.lists(WORDS, max_size=6)


def digest(history: list[tuple[int, ...]], agent: str = AGENT) -> bytes:
    found = empty_history(agent)
    for words in history:
        found = extend_history(found, words)
    return found


@given(one=HISTORIES, other=HISTORIES)
def test_two_histories_have_the_same_digest_exactly_if_they_are_the_same(
    one: list[tuple[int, ...]], other: list[tuple[int, ...]]
) -> None:
    assert (digest(one) == digest(other)) is (one == other)
    assert digest(one) == digest(list(one))
    assert len(digest(one)) == DIGEST_BYTES


@given(history=HISTORIES, words=WORDS)
def test_one_more_step_always_changes_the_digest(history: list[tuple[int, ...]], words: tuple[int, ...]) -> None:
    assert digest([*history, words]) != digest(history)


@given(history=HISTORIES)
def test_another_agent_has_other_digests(history: list[tuple[int, ...]]) -> None:
    assert digest(history) != digest(history, "b" * 64)


def test_the_border_between_steps_counts() -> None:
    assert len({digest([(1, 2)]), digest([(1,), (2,)]), digest([(1, 2), ()]), digest([(), (1, 2)])}) == 4


def test_digests_are_the_same_in_every_process_and_release() -> None:
    """They are stored in Redis: another value would make every running episode unreadable."""
    assert digest([]).hex() == "ea420f6c0aac785b024727f6118864a7"
    assert digest([(1, 2), (2**32 - 1, 0)]).hex() == "354ab98d831468e96888be4d5cfa8297"


def test_reach_is_one_window_less_one_a_layer() -> None:
    assert [history_reach(1, 32), history_reach(2, 32), history_reach(18, 512)] == [31, 62, 18 * 511]
    assert history_reach(3, 1) == 0
