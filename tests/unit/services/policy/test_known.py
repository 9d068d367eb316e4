"""What is known of episodes: bounded in number and in the bytes of their policies' states."""

from agent.history import empty_history
from services.policy.known import KnownEpisodes
from services.protocol.values import EpisodeState


def state(name: str, policy_state: bytes = b"") -> EpisodeState:
    empty = empty_history("a")
    return EpisodeState(
        episode_id=name,
        agent="a",
        agent_digest="a",
        seed=1,
        deterministic=False,
        history_digest=empty,
        policy_state=policy_state,
    )


def kept(known: KnownEpisodes) -> set[str]:
    return {name for name in "abcd" if known.get(name)}


def test_the_least_recently_learnt_is_dropped() -> None:
    known = KnownEpisodes(2)
    for name in "abab":
        known.learn(state(name))
    known.learn(state("c"))
    assert kept(known) == {"b", "c"}


def test_states_are_bounded_in_bytes_and_a_newer_one_takes_the_place_of_the_older() -> None:
    known = KnownEpisodes(10, state_bytes=10)
    for name in ("a", "b", "a", "a"):
        known.learn(state(name, b"1234"))
    assert kept(known) == {"a", "b"}
    known.learn(state("c", b"1234"))
    assert kept(known) == {"a", "c"}
    known.forget("a")
    known.learn(state("d", b"123456"))
    assert kept(known) == {"c", "d"}
    known.forget("nobody")
