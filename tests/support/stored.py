"""Episodes as the store's tests have them: a Redis of a test's own, states, steps, and commits as policy makes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.history import extend_history
from agent.vocabulary import Word
from services.protocol.values import CommittedStep, EpisodeState
from services.store.episodes import Committed, EpisodeStore, new_episode
from support.deployment import RedisProcess

AGENT = "a" * 64
TTL = 600.0


@contextmanager
def redis_process(folder: Path) -> Iterator[RedisProcess]:
    """A Redis that runs until the block ends."""
    process = RedisProcess(folder)
    try:
        process.start()
        yield process
    finally:
        process.stop()


def record(step: int, *, word: int | None = None, words: int = 2) -> CommittedStep:
    """A step with words that its number determines, and an action."""
    first = 10 * step if word is None else word
    return CommittedStep(
        words=tuple(Word(first + i, f"word-{first + i}", 0.5) for i in range(words)),
        action=step % 7,
        value=0.25,
        log_prob=-0.5,
        frame_fingerprint=bytes([step] * 16),
        history_digest=b"",
        time_us=1_000_000 + step,
    )


def state_of(name: str = "episode", **changes: Any) -> EpisodeState:
    """Always of one incarnation, unless it is among the changes."""
    return replace(new_episode(name, agent="tiny", agent_digest=AGENT, seed=5), **{"incarnation": "first", **changes})


async def commit(store: EpisodeStore, state: EpisodeState, step: int, taken: CommittedStep | None = None) -> Any:
    """Commits a step as the policy service does; (outcome, the state after it)."""
    taken = taken or record(step)
    after = extend_history(state.history_digest, [word.row for word in taken.words])
    outcome = await store.commit(state, step, replace(taken, history_digest=after))
    return outcome, replace(state, history_digest=after, committed=step, length=state.length + len(taken.words))


async def with_steps(store: EpisodeStore, count: int, name: str = "episode") -> EpisodeState:
    state = state_of(name)
    for step in range(count):
        outcome, state = await commit(store, state, step)
        assert outcome == Committed()
    return state
