"""The actor-critic in a Triton server: the model `policy` of services.triton.models, or DECIDE of `act`.

Failure policy: as in services.triton.client.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from agent.frame import Frame, Observation
from services.triton.servers import TritonModel, TritonServers

Parameters = NDArray[Any]
Memory = NDArray[Any]


class FramesAsTheyAre:
    """Passes frames on unchanged, because the model encodes the frame together with the decision."""

    async def submit(self, item: Observation, *, deadline: float | None = None) -> Frame:
        """Returns the frame."""
        return item.frame

    def put(
        self, items: Sequence[Observation], *, deadline: float | None = None
    ) -> "asyncio.Future[list[Frame | BaseException]]":
        """Returns the frames."""
        future: asyncio.Future[list[Frame | BaseException]] = asyncio.get_running_loop().create_future()
        future.set_result([one.frame for one in items])
        return future


def triton_policy(
    servers: TritonServers, model: str, op: Mapping[str, NDArray[Any]] | None = None
) -> TritonModel[tuple[Frame, Memory], tuple[Parameters, float]]:
    """Returns the model as a queue of (frame, memory vector). op: further inputs."""

    def decode(outputs: Mapping[str, NDArray[Any]]) -> tuple[Parameters, float]:
        return outputs["PARAMETERS"], float(outputs["VALUE"][0])

    return TritonModel(
        servers,
        model,
        name="policy decide",
        key=lambda pair: pair[1].tobytes(),  # any server will do
        encode=lambda pair: {"FRAME": pair[0], "MEMORY": pair[1], **(op or {})},
        decode=decode,
    )
