"""Retrieval in a Triton server: the model `clip_image` of services.triton.models.

The texts of the words stay in the service. Failure policy: as in services.triton.client.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from agent.frame import Observation
from agent.vocabulary import Word
from services.triton.servers import TritonModel, TritonServers


def triton_retrieval(servers: TritonServers, model: str, words: Sequence[str]) -> TritonModel[Observation, list[Word]]:
    """Returns the model as a queue of observations; words: the texts of the vocabulary."""

    def decode(outputs: Mapping[str, NDArray[Any]]) -> list[Word]:
        found = zip(outputs["ROWS"].tolist(), outputs["SIMILARITIES"].tolist(), strict=True)
        return [Word(row, words[row], similarity) for row, similarity in found]

    def key(one: Observation) -> bytes:
        return one.fingerprint

    return TritonModel(servers, model, name="retrieval", key=key, encode=lambda one: {"FRAME": one.frame}, decode=decode)
