"""Retrieval in a Triton server: the model `clip_image` of services.triton.models.

The words themselves stay with the service. Failure policy: that of services.triton.client.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from agent.frame import Observation
from agent.vocabulary import Word
from services.triton.client import Triton, TritonModel


def triton_retrieval(server: Triton, model: str, words: Sequence[str]) -> TritonModel[Observation, list[Word]]:
    """The model as a queue of observations; words: the vocabulary's."""

    def decode(outputs: Mapping[str, NDArray[Any]]) -> list[Word]:
        found = zip(outputs["ROWS"].tolist(), outputs["SIMILARITIES"].tolist(), strict=True)
        return [Word(row, words[row], similarity) for row, similarity in found]

    return TritonModel(server, model, name="retrieval", encode=lambda one: {"FRAME": one.frame}, decode=decode)
