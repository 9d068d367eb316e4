"""What `EpisodeStore` promises, in plain Python: one dictionary of episodes, one of their retained steps.

Each method changes the model and returns what the store must answer: states without times, and the reason where the store
raises. Keys may vanish, one or both (`lose`), as by expiry, by deletion or by a fault; then the same rules hold.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from agent.history import empty_history
from services.protocol.values import CommittedStep, EpisodeState
from services.runtime.errors import ServiceError
from services.store.episodes import AlreadyCommitted, Committed, Refused
from services.store.records import Numbered

DAMAGED, MISMATCH = "EPISODE_DAMAGED", "HISTORY_MISMATCH"
TTL, ENDED_TTL = 1000, 300  # seconds; different after rounding to `COARSE`
COARSE = 100_000  # milliseconds


@dataclass
class StoreModel:
    """retained: steps kept per episode. archive: whether there is one. broken: episodes whose description lacks a field."""

    retained: int
    archive: bool
    episodes: dict[str, EpisodeState] = field(default_factory=dict)
    steps: dict[str, dict[int, CommittedStep]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def state(self, name: str) -> EpisodeState | str | None:
        return DAMAGED if name in self.broken else self.episodes.get(name)

    def create(self, state: EpisodeState) -> EpisodeState | str | None:
        if state.episode_id not in self.episodes:
            new = {"committed": -1, "length": 0, "ended": False, "total_reward": None, "archived": False}
            empty = empty_history(state.agent_digest)
            self.episodes[state.episode_id] = replace(state, **new, history_digest=empty, ttl_ms=TTL * 1000)  # type: ignore[arg-type]
            self.steps[state.episode_id] = {}
        return self.state(state.episode_id)

    def commit(self, state: EpisodeState, step: int, record: CommittedStep) -> Committed | AlreadyCommitted | Refused | str:
        name = state.episode_id
        if step == 0 and state.history_digest == empty_history(state.agent_digest):
            self.create(state)
        if name not in self.episodes or name in self.broken:
            return DAMAGED if name in self.broken else Refused("NOT_FOUND", -1)
        known, kept = self.episodes[name], self.steps.get(name, {})
        if state.incarnation != known.incarnation:
            return Refused("STALE", known.committed)
        if max(kept, default=-1) != known.committed or (
            step not in kept and min(kept, default=0) <= step <= known.committed
        ):
            return DAMAGED
        if step in kept:
            return AlreadyCommitted(known.committed, kept[step])
        refusals = {
            "TOO_OLD": step <= known.committed,
            "GAP": step > known.committed + 1,
            "ENDED": known.ended,
            "STALE": basis(state) != basis(known),
        }
        if reasons := [reason for reason, applies in refusals.items() if applies]:
            return Refused(reasons[0], known.committed)
        kept[step] = record
        self.steps[name] = {number: kept[number] for number in sorted(kept)[-self.retained :]}
        after = {"committed": step, "history_digest": record.history_digest, "length": known.length + len(record.words)}
        self.episodes[name] = replace(known, **after, ttl_ms=TTL * 1000)  # type: ignore[arg-type]
        return Committed()

    def end(self, name: str, reward: float | None) -> tuple[EpisodeState, bool] | str | None:
        if name not in self.episodes:
            return None
        known = self.episodes[name]
        first = not known.ended
        left = TTL if self.archive else ENDED_TTL
        total = reward if known.total_reward is None else known.total_reward
        known = replace(known, ended=True, total_reward=total, ttl_ms=left * 1000 if first else known.ttl_ms)
        self.episodes[name] = known
        return DAMAGED if name in self.broken else (known, first)

    def archived(self, state: EpisodeState) -> bool:
        known = self.episodes.get(state.episode_id)
        if known is None or not known.ended or known.incarnation != state.incarnation:
            return False
        self.episodes[state.episode_id] = replace(known, archived=True, ttl_ms=ENDED_TTL * 1000)
        return True

    def delete(self, name: str) -> bool:
        if self.archive:
            self.deleted.add(name)
        there = name in self.episodes or bool(self.steps.get(name))
        self.lose(name, "both")
        return there

    def look(self, name: str, wanted: range, limit: int | None = None) -> tuple[EpisodeState | None, list[Numbered]] | str:
        """Steps from the oldest that is kept on are promised; those before it were dropped."""
        if name not in self.episodes or name in self.broken:
            return DAMAGED if name in self.broken else (None, [])
        known, kept = self.episodes[name], self.steps.get(name, {})
        promised = [step for step in range(min(kept, default=0), known.committed + 1) if step in wanted][:limit]
        whole = all(step in kept for step in promised)
        return (known, [(step, kept[step]) for step in promised]) if whole else DAMAGED

    def last_words(self, name: str, *, step: int, steps: int, digest: bytes) -> list[int] | str:
        kept, known = self.steps.get(name, {}), self.episodes.get(name)
        wanted = range(step - steps, step)
        if all(one in kept for one in wanted) and kept[step - 1].history_digest == digest:
            return [word.row for one in wanted for word in kept[one].words]
        latest = known and name not in self.broken and (known.committed, known.history_digest) == (step - 1, digest)
        return DAMAGED if latest else MISMATCH

    def lose(self, name: str, what: str | int) -> None:
        """What vanishes: the description, a field of it, all steps, one step, or both keys."""
        if what in ("description", "both"):
            self.episodes.pop(name, None)
            self.broken.discard(name)
        if what in ("steps", "both"):
            self.steps.pop(name, None)
        if what == "field" and name in self.episodes:
            self.broken.add(name)
        if isinstance(what, int):
            self.steps.get(name, {}).pop(what, None)


def basis(state: EpisodeState) -> tuple[Any, ...]:
    """What the next step is computed from."""
    return state.history_digest, state.seed, state.deterministic


def plain(answer: Any) -> Any:
    """An answer of the store without times; a time to live is rounded up, and an error is its reason."""
    if isinstance(answer, EpisodeState):
        return replace(answer, created_us=0, updated_us=0, ttl_ms=-(-answer.ttl_ms // COARSE) * COARSE)
    if isinstance(answer, ServiceError):
        return answer.reason
    if isinstance(answer, tuple | list):
        return type(answer)(plain(one) for one in answer)
    return answer
