"""Retrieval in a Triton server: model `clip_image`.

Input FRAME uint8 (height, width, 3); outputs ROWS int32 (k,) of the vocabulary, most similar first, and SIMILARITIES
float32 (k,). The words themselves stay with the service. Failure policy: that of services.runtime.triton.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from services.domain.frame import Frame
from services.retrieval.retrieved import Retrieved
from services.runtime.triton import Triton, TritonModel


def triton_retrieval(server: Triton, model: str, words: Sequence[str]) -> TritonModel[Frame, list[Retrieved]]:
    """The model as a queue of frames; words: the vocabulary's."""

    def decode(outputs: Mapping[str, NDArray[Any]]) -> list[Retrieved]:
        found = zip(outputs["ROWS"].tolist(), outputs["SIMILARITIES"].tolist(), strict=True)
        return [Retrieved(row, words[row], similarity) for row, similarity in found]

    return TritonModel(server, model, name="retrieval", encode=lambda frame: {"FRAME": frame}, decode=decode)
