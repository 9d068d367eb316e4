"""One agent as a plain object: its engines called one after the other, in this process, for any number of sessions.

This is what a user would write without a server. benchmarks.overhead compares a served Act with it, benchmarks.peers puts
it behind other servers. It imports `agent` and nothing else, so that it runs in their environment.

Contract: a session's words and actions are those that the services give for the same frames. A session lives in this object
alone: nothing is stored, an Act that is repeated is a second step, and a slot that was taken for another session is lost.

Failure policy: such a session raises RuntimeError; an invalid frame raises ValueError. Not safe for concurrent calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.bundle import AgentBundle
from agent.engines.memory import load_slots
from agent.engines.policy import load_policy
from agent.engines.retrieval import load_retriever
from agent.frame import Frame
from agent.history import MemoryStep, MemoryVector, empty_history
from agent.policy.heads import Choice, action_heads, choose
from agent.vocabulary import Word


@dataclass
class _Session:
    history: bytes
    step: int = 0


@dataclass(frozen=True)
class Answer:
    """What one step gives."""

    words: list[Word]
    action: Choice
    value: float


class LocalAgent:
    """The engines of one bundle, with a session for each name; the defaults are those of the services."""

    def __init__(
        self,
        bundle: AgentBundle,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        slots: int = 512,
        slot_bytes: int | None = 2**30,
        cache_frames: int = 4096,
    ) -> None:
        self.bundle, self._sessions = bundle, dict[str, _Session]()
        self._heads = action_heads(bundle.manifest.actions)
        self._retriever = load_retriever(bundle, device=device, dtype=dtype, cache_frames=cache_frames)
        self._memory = load_slots(bundle, device=device, slots=slots, slot_bytes=slot_bytes, dtype=dtype)
        self._policy = load_policy(bundle, device=device)

    def act(self, names: Sequence[str], frames: Sequence[Frame]) -> list[Answer]:
        """Takes one step in each session, greedily; an unknown name begins a session, a name may stand once."""
        sessions = [self._sessions.setdefault(name, self._begin()) for name in names]
        words = self._retriever.retrieve(frames)
        steps = [
            MemoryStep(name, session.step, tuple(word.row for word in found), session.history)
            for name, session, found in zip(names, sessions, words, strict=True)
        ]
        vectors = []
        for session, answer in zip(sessions, self._memory.remember(steps), strict=True):
            if not isinstance(answer, MemoryVector):
                raise RuntimeError(f"a session is lost: {answer}")
            session.history, session.step = answer.history_digest, session.step + 1
            vectors.append(answer.vector)
        decided = self._policy.decide(list(zip(self._policy.encode(frames), vectors, strict=True)))
        return [
            Answer(found, choose(self._heads, row, seed=0, step=step.step, deterministic=True)[0], value)
            for found, step, (row, value) in zip(words, steps, decided, strict=True)
        ]

    def forget(self, name: str) -> None:
        """Ends a session."""
        self._sessions.pop(name, None)
        self._memory.forget(name)

    def _begin(self) -> _Session:
        return _Session(empty_history(self.bundle.digest))
