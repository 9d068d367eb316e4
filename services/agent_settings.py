"""Settings about agents, shared by retrieval, memory and policy."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, field_validator

from agent.bundle import AgentBundle, InvalidBundle, load_bundle
from services.runtime.settings import ServerSettings


class AgentSettings(ServerSettings):
    """Settings of a service that loads agent bundles; all services load the same bundles."""

    agents: str = Field(
        "models/minigrid-memory", description="folders of agent bundles, separated by commas; the first is the default agent"
    )

    engine: Literal["local", "triton"] = Field("local", description="run the models in the services, or in Triton")
    triton_target: str = Field("127.0.0.1:8001", description="HOST:PORT of Triton's gRPC endpoint, with engine triton")
    triton_timeout: float = Field(10.0, gt=0, description="timeout in seconds of one request to Triton")

    dtype: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        "auto", description="number format of the frozen models; auto: the fastest that gives the actions of float32"
    )
    slot_bytes: int = Field(2**30, gt=0, description="bytes of all memory slots together; the agents have equal shares")

    host_slot_bytes: int = Field(
        2**32, ge=0, description="bytes of the host's memory for memory states that have lost their slot on a GPU"
    )
    rebuild_timeout: float = Field(300.0, gt=0, description="seconds that the rebuild of a memory state may wait, and take")

    @field_validator("device")
    @classmethod
    def _usable_device(cls, value: str) -> str:
        try:
            torch.empty(0, device=value)
        except (RuntimeError, AssertionError) as error:  # torch raises either
            raise ValueError(str(error).partition("\n")[0]) from None
        return value

    @property
    def folders(self) -> list[Path]:
        """The folders that `agents` names."""
        return [Path(folder.strip()) for folder in self.agents.split(",")]

    def load_bundles(self) -> list[AgentBundle]:
        """Loads and verifies the bundles, the default first; raises InvalidBundle, which names the folder and the invalid
        file.
        """
        bundles = [load_bundle(folder) for folder in self.folders]
        digests = [bundle.digest for bundle in bundles]
        if twice := {d for d in digests if digests.count(d) > 1}:
            raise InvalidBundle(f"SHELM_AGENTS names the bundle {sorted(twice)[0]} twice")
        return bundles
