"""Settings about agents, shared by retrieval, memory and policy. torch is imported only by `prepare_torch`."""

import ctypes
import re
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from agent.bundle import AgentBundle, Bundle, InvalidBundle, load_any_bundle
from services.runtime.checks import CannotStart
from services.runtime.settings import ServerSettings

_DEVICE = re.compile(r"(cpu|cuda|xpu|mps|hpu|npu|mtia)(:\d+)?")


class AgentSettings(ServerSettings):
    """Settings of a service that loads agent bundles; all services load the same bundles."""

    agents: str = Field(
        "models/minigrid-memory", description="folders of agent bundles, separated by commas; the first is the default agent"
    )

    allow_code: bool = Field(False, description="run policies that bundles name as functions of installed packages")

    engine: Literal["local", "triton"] = Field("local", description="run the models in the services, or in Triton")
    triton_target: str = Field(
        "127.0.0.1:8001", description="HOST:PORT of Triton's gRPC endpoint, with engine triton; several with commas between"
    )
    triton_models: Literal["act", "parts"] = Field(
        "act", description="what policy asks Triton for: the whole Act in one call, or what retrieval and memory leave to it"
    )
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
    def _possible_device(cls, value: str) -> str:
        if not _DEVICE.fullmatch(value):
            raise ValueError("expected cpu, cuda or cuda:NUMBER, or another device of torch")
        if value.startswith("cuda") and not _gpu_driver():
            raise ValueError("this machine has no driver of a GPU (libcuda.so.1, /dev/kfd)")
        return value

    @property
    def one_call(self) -> bool:
        """Whether policy asks Triton for whole Acts."""
        return self.engine == "triton" and self.triton_models == "act"

    def check(self) -> None:
        """Raises CannotStart if something that these settings name cannot be used, as far as a second tells."""
        super().check()
        self.load_bundles()

    @property
    def folders(self) -> list[Path]:
        """The folders that `agents` names."""
        return [Path(folder.strip()) for folder in self.agents.split(",")]

    @cached_property
    def bundles(self) -> list[Bundle]:
        """The verified bundles, read once; raises InvalidBundle."""
        bundles = [load_any_bundle(folder) for folder in self.folders]
        digests = [bundle.digest for bundle in bundles]
        if twice := {d for d in digests if digests.count(d) > 1}:
            raise InvalidBundle(f"the bundle {sorted(twice)[0]} is named twice")
        return bundles

    def load_bundles_with_words(self) -> list[AgentBundle]:
        """Does the same, and returns those whose memory is words: the others need neither retrieval nor memory."""
        return [bundle for bundle in self.load_bundles() if isinstance(bundle, AgentBundle)]

    def load_bundles(self) -> list[Bundle]:
        """Loads and verifies the bundles, the default first; raises CannotStart, which names the folder and the invalid
        file.
        """
        try:
            return self.bundles
        except (InvalidBundle, OSError) as error:
            raise CannotStart(f"SHELM_AGENTS: {error}") from None


def prepare_torch(settings: AgentSettings) -> None:
    """Imports torch and sets it up; CannotStart if it has no such device."""
    import torch

    torch.set_num_threads(settings.torch_threads)
    try:
        torch.empty(0, device=settings.device)
    except (RuntimeError, AssertionError) as error:  # torch raises either
        raise CannotStart(f"SHELM_DEVICE: {str(error).partition(chr(10))[0]}, got {settings.device!r}") from None


def _gpu_driver() -> bool:
    """Whether there is a driver that torch's `cuda` could use: NVIDIA's library, or AMD's device."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()
    return True
