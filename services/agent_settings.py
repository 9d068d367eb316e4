"""Settings about agents, shared by the three services."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, field_validator

from agent.bundle import AgentBundle, InvalidBundle, load_bundle
from services.runtime.settings import ServerSettings


class AgentSettings(ServerSettings):
    """Every service loads the same bundles."""

    agents: str = Field(
        "models/minigrid-memory", description="folders of agent bundles, separated by commas; the first is the default"
    )

    engine: Literal["local", "triton"] = Field("local", description="where the models run: in the services, or in Triton")
    triton_target: str = Field("127.0.0.1:8001", description="HOST:PORT of Triton's gRPC endpoint, with engine triton")
    triton_timeout: float = Field(10.0, gt=0, description="seconds for one answer of a model in Triton")

    slot_bytes: int = Field(2**30, gt=0, description="bytes of all memory slots together; the agents have equal shares")

    @field_validator("device")
    @classmethod
    def _usable_device(cls, value: str) -> str:
        try:
            torch.empty(0, device=value)
        except (RuntimeError, AssertionError) as error:  # torch has no one kind for this
            raise ValueError(str(error).partition("\n")[0]) from None
        return value

    @property
    def agent_count(self) -> int:
        """How many bundles are named."""
        return len(self.agents.split(","))

    def load_bundles(self) -> list[AgentBundle]:
        """Verified bundles, the default first; InvalidBundle names the folder and the file at fault."""
        bundles = [load_bundle(Path(folder.strip())) for folder in self.agents.split(",")]
        digests = [bundle.digest for bundle in bundles]
        if twice := {d for d in digests if digests.count(d) > 1}:
            raise InvalidBundle(f"SHELM_AGENTS names the bundle {sorted(twice)[0]} twice")
        return bundles
