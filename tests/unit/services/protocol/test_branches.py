"""The origin of a branch as it is stored and told, and what it says of lengths."""

from dataclasses import replace

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from services.protocol.archive import pack_episode, unpack_episode
from services.protocol.branches import branch_message, read_stored_branch, stored_branch
from services.protocol.values import Branch, CommittedStep, EpisodeState, Insert, Remove, Replace, Swap

WORDS = st.text(max_size=8)
STEPS = st.integers(0, 2**53 - 1)
EDITS = st.one_of(
    st.builds(Remove, WORDS.filter(bool), st.none() | STEPS),
    st.builds(Replace, WORDS, WORDS, st.none() | STEPS),
    st.builds(Insert, WORDS, STEPS),
    st.builds(Swap, WORDS, WORDS),
)
BRANCHES = st.builds(
    Branch,
    source=st.text(min_size=1, max_size=8),
    source_incarnation=WORDS,
    step=STEPS,
    edits=st.lists(EDITS, max_size=5).map(tuple),
    tokens_per_step=st.integers(1, 64),
    word_counts=st.lists(st.tuples(STEPS, st.integers(0, 200)), max_size=5).map(tuple),
)


@given(BRANCHES)
def test_what_is_stored_is_read(branch: Branch) -> None:
    assert read_stored_branch(stored_branch(branch)) == branch


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"\n\x00"])
def test_what_is_no_branch_is_not_read(data: bytes) -> None:
    with pytest.raises((ValueError, DecodeError)):
        read_stored_branch(data)


def test_the_stored_form_stays_as_it_is() -> None:
    branch = Branch(
        source="a@acme",
        source_incarnation="first",
        step=3,
        edits=(Swap("key", "ball"), Remove("key", 0), Remove("", 1)),
        tokens_per_step=2,
        word_counts=((0, 1), (1, 0)),
    )
    form = (
        "0a310a06614061636d65120566697273741803220d220b0a036b6579120462616c6c22090a07080012036b6579"
        "22040a02080110021a0210011a020801"
    )
    assert stored_branch(branch).hex() == form
    assert branch_message(branch).source_episode_id == "a@acme", "to an admin, who names tenants"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 4))
def test_words_up_to_a_step_are_counted(counts: list[int], k: int) -> None:
    other = tuple((step, words) for step, words in enumerate(counts) if words != k)
    branch = Branch(source="a", source_incarnation="", step=len(counts), edits=(), tokens_per_step=k, word_counts=other)
    for step in range(len(counts)):
        assert branch.words_up_to(step) == sum(counts[: step + 1])
    assert branch.words_up_to(len(counts) + 1) == sum(counts) + 2 * k
    assert branch.words_up_to(-1) == 0


def test_the_archive_keeps_where_an_episode_comes_from() -> None:
    branch = Branch(source="a", source_incarnation="b", step=1, edits=(Insert("key", 0),), tokens_per_step=1)
    state = EpisodeState(
        episode_id="c",
        agent="tiny",
        agent_digest="d" * 64,
        seed=1,
        deterministic=False,
        committed=0,
        history_digest=b"h" * 16,
        archived=True,
        branch=branch,
    )
    step = CommittedStep(
        words=(), action=0, value=0.0, log_prob=0.0, frame_fingerprint=b"f" * 16, history_digest=b"h" * 16, time_us=0
    )
    assert unpack_episode(pack_episode(state, 0, [step]))[0] == state
    plain = replace(state, branch=None)
    assert unpack_episode(pack_episode(plain, 0, [step]))[0] == plain
