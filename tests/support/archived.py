"""Episodes as the archive has them."""

from collections.abc import Sequence
from typing import Any

from agent.history import empty_history
from agent.vocabulary import Word
from services.protocol.values import CommittedStep, EpisodeState

Episode = tuple[EpisodeState, int, list[CommittedStep]]


def steps_of(words: Sequence[Sequence[str]]) -> list[CommittedStep]:
    """Steps that saw these words."""
    return [
        CommittedStep(
            words=tuple(Word(i, text, 0.5) for i, text in enumerate(seen)),
            action=1,
            value=0.0,
            log_prob=0.0,
            frame_fingerprint=bytes(16),
            history_digest=bytes(16),
            time_us=1,
        )
        for seen in words
    ]


def episode(name: str, words: Sequence[Sequence[str]], *, first: int = 0, **changes: Any) -> Episode:
    """An episode that has ended."""
    agent, digest = changes.pop("agent", ("small", "a" * 64))
    state = EpisodeState(
        episode_id=name,
        agent=agent,
        agent_digest=digest,
        seed=1,
        deterministic=False,
        committed=first + len(words) - 1,
        history_digest=empty_history(digest),
        ended=True,
        **{"created_us": 10, "updated_us": 20, "incarnation": "i", **changes},
    )
    return state, first, steps_of(words)
