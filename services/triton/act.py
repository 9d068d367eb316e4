"""A whole Act in a Triton server: the model `act` of services.triton.models.

The texts of the words stay in the service. Failure policy: as in services.triton.client; a step that the model rejects is
MODEL_FAILED, because the words are its own.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shelm.v1 import errors_pb2

from agent.bundle import AgentBundle
from agent.frame import Frame
from agent.memory.checks import StepCheck
from agent.memory.slots import SlotMiss
from agent.policy.actor_critic import Parameters
from agent.vocabulary import Word, load_vocabulary
from services.protocol.reasons import failure
from services.triton.client import Row, text_of, text_tensor
from services.triton.memory import TritonMemory, episode_of, length_tensor
from services.triton.models import Op, Status, model_name
from services.triton.servers import TritonModel, TritonServers

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ActStep:
    """One step of one episode: the frame that it sees, and history_digest and length as in MemoryStep."""

    episode_id: str
    step: int
    history_digest: bytes
    frame: Frame
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Acted:
    """The words of the step's frame, most similar first, the parameters of the action distribution, and the value."""

    words: list[Word]
    parameters: Parameters
    value: float


class TritonAct:
    """The model of one bundle. slots: its memory slots, but for steps, which only an Act takes."""

    def __init__(self, servers: TritonServers, bundle: AgentBundle) -> None:
        vocabulary, k = load_vocabulary(bundle), bundle.manifest.retrieval.k
        self.model, self._words = model_name("act", bundle.digest), vocabulary.words
        check = StepCheck(tokens_per_step=k, vocabulary_size=len(vocabulary), agent_digest=bundle.digest)
        self.slots = TritonMemory(servers, self.model, tokens_per_step=k, check=check)
        self._call: TritonModel[Row, Acted | SlotMiss] = TritonModel(
            servers, self.model, name="act", key=episode_of, encode=lambda row: row, decode=self._answer
        )

    async def act(self, step: ActStep, *, past: Sequence[int] | None = None, deadline: float | None) -> Acted | SlotMiss:
        """Computes a step; a slot miss where no slot holds the history. past: its last words, to rebuild first."""
        row: dict[str, NDArray[Any]] = {
            "OP": np.array([Op.ACT], np.uint8),
            "EPISODE": text_tensor(step.episode_id),
            "STEP": np.array([step.step], np.int64),
            "DIGEST": np.frombuffer(step.history_digest, np.uint8),
            "FRAME": step.frame,
            **length_tensor(step.length),
        }
        if past is not None:
            row["PAST"] = np.array(past, np.int32)
        return await self._call.submit(row, deadline=deadline)

    def _answer(self, outputs: Mapping[str, NDArray[Any]]) -> Acted | SlotMiss:
        status = Status(int(outputs["STATUS"][0]))
        if status is Status.SLOT_MISS:
            return SlotMiss(int(outputs["NEEDED"][0]))
        if status is Status.REFUSED:
            log.error("model %s rejects a step: %s", self.model, text_of(outputs["ERROR"]))
            raise failure(errors_pb2.ERROR_REASON_MODEL_FAILED, f"model {self.model} failed")
        found = zip(outputs["ROWS"].tolist(), outputs["SIMILARITIES"].tolist(), strict=True)
        words = [Word(row, self._words[row], similarity) for row, similarity in found]
        return Acted(words, outputs["PARAMETERS"], float(outputs["VALUE"][0]))
