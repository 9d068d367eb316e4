"""Memory slots in a Triton server, next to the language model, so that the cache never crosses the network.

Failure policy: as in services.triton.client. A restarted Triton has empty slots, which costs each episode one rebuild and
nothing else.
"""

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agent.history import DIGEST_BYTES, MemoryStep, MemoryVector
from agent.memory.checks import StepCheck
from agent.memory.slots import SlotCounts, SlotMiss
from services.triton.client import Row, text_of, text_tensor
from services.triton.models import Op, Status, read_counts
from services.triton.servers import Outputs, TritonModel, TritonServers


class TritonMemory:
    """The `MemoryEngine` of a Triton model."""

    dtype = ""

    def __init__(self, servers: TritonServers, model: str, *, tokens_per_step: int, check: StepCheck) -> None:
        self._check = check  # Triton itself would reject a wrong shape without naming the field
        self._nothing = MemoryStep("", 0, (0,) * tokens_per_step, bytes(DIGEST_BYTES))
        self._call: TritonModel[Row, Outputs] = TritonModel(
            servers, model, name="memory", key=episode_of, encode=lambda row: row, decode=lambda outputs: outputs
        )

    def put(
        self, steps: Sequence[MemoryStep], *, deadline: float | None
    ) -> "asyncio.Future[list[MemoryVector | SlotMiss | BaseException]]":
        """Computes one step in each of several episodes."""
        return asyncio.gather(*(self._step(step, deadline) for step in steps), return_exceptions=True)

    async def _step(self, step: MemoryStep, deadline: float | None) -> MemoryVector | SlotMiss:
        self._check(step)
        return _answer(await self._call.submit(_row(Op.REMEMBER, step), deadline=deadline))

    async def rebuild(self, step: MemoryStep, words: Sequence[int], *, deadline: float | None) -> MemoryVector:
        """Rebuilds the state before the step, then computes the step."""
        self._check(step)
        self._check.words(words)
        row = {**_row(Op.REMEMBER, step), "PAST": np.array(words, np.int32)}
        answer = _answer(await self._call.submit(row, deadline=deadline))
        if not isinstance(answer, MemoryVector):
            raise RuntimeError(f"a slot that was just rebuilt answers {answer!r}")
        return answer

    async def encode_histories(
        self, histories: Sequence[Sequence[int]], *, deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """Returns the memory vectors, float32 (dimension,), after hypothetical histories, one at a time."""
        return [await self._encode_history(words, deadline) for words in histories]

    async def _encode_history(self, words: Sequence[int], deadline: float | None) -> NDArray[np.float32]:
        row = {**_row(Op.ENCODE_HISTORY, self._nothing), "PAST": np.array(words, np.int32)}
        answer = _answer(await self._call.submit(row, deadline=deadline))
        if not isinstance(answer, MemoryVector):
            raise RuntimeError(f"a history that needs no slot was answered {answer!r}")
        return answer.vector

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops the slots of episodes at every server, because several may have served one; returns how many there were."""
        steps = [MemoryStep(one, 0, self._nothing.vocabulary_rows, self._nothing.history_digest) for one in episode_ids]
        answers = await asyncio.gather(*(self._call.submit_each(_row(Op.FORGET, step)) for step in steps))
        return sum(int(answer["NEEDED"][0]) for each in answers for answer in each)

    async def counts(self) -> SlotCounts:
        """Returns usage and counters since the model was loaded, of all servers together."""
        answers = await self._call.submit_each(_row(Op.COUNTS, self._nothing))
        return read_counts(np.sum([answer["COUNTS"] for answer in answers], axis=0))


def episode_of(row: Row) -> bytes:
    """What chooses the server of a row: its episode, whose slot is there, or without one its history."""
    name: bytes = row["EPISODE"][0]
    return name or row["PAST"].tobytes()


def _row(op: Op, step: MemoryStep) -> Row:
    return {
        "OP": np.array([op], np.uint8),
        "EPISODE": text_tensor(step.episode_id),
        "STEP": np.array([step.step], np.int64),
        "WORDS": np.array(step.vocabulary_rows, np.int32),
        "DIGEST": np.frombuffer(step.history_digest, np.uint8),
        **length_tensor(step.length),
    }


def length_tensor(length: int | None) -> Row:
    """The input that tells the length of a history, where its steps have different numbers of words."""
    return {} if length is None else {"LENGTH": np.array([length], np.int64)}


def _answer(outputs: Outputs) -> MemoryVector | SlotMiss:
    status = Status(int(outputs["STATUS"][0]))
    if status is Status.REFUSED:
        raise ValueError(text_of(outputs["ERROR"]))
    if status is Status.SLOT_MISS:
        return SlotMiss(int(outputs["NEEDED"][0]))
    return MemoryVector(outputs["VECTOR"], outputs["AFTER"].tobytes())
