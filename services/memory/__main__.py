"""Starts the memory service: `python -m services.memory`."""

import torch
from pydantic import Field, field_validator

from services.agent_settings import AgentSettings
from services.memory.service import MemoryServicer, load_agent
from services.memory.telemetry import export_slots
from services.protocol.reasons import DOMAIN
from services.protocol.stubs import memory_pb2_grpc
from services.runtime.server import GrpcServer, run, serve_until_stopped, start_process
from services.runtime.settings import check_address
from services.runtime.telemetry import agent_labels
from services.store.history import HistoryReader
from services.store.redis import check_redis_url, connect_redis
from services.triton.client import connect_triton
from services.triton.models import model_name


class MemorySettings(AgentSettings):
    """Settings of the memory service."""

    memory_listen: str = Field("127.0.0.1:50053", description="HOST:PORT")
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis with the histories")
    redis_timeout: float = Field(2.0, gt=0, description="timeout in seconds of one Redis call")
    slots: int = Field(512, gt=0, description="cached memory states per agent")

    _address = field_validator("memory_listen")(check_address)
    _redis = field_validator("redis_url")(check_redis_url)


async def main() -> None:
    """Loads the agents and serves until stopped."""
    settings = start_process("memory", MemorySettings)
    torch.set_num_threads(settings.torch_threads)
    triton = connect_triton(settings)
    bundles = settings.load_bundles()
    agents = [load_agent(bundle, settings, settings.slots, triton) for bundle in bundles]
    export_slots({agent_labels(one.bundle.name, one.bundle.digest): one.engine.counts for one in agents})
    histories = HistoryReader(connect_redis(settings.redis_url, timeout=settings.redis_timeout))
    servicer = MemoryServicer(agents, histories)

    async def ready() -> list[str]:
        # Local models are loaded before serving starts.
        models = await triton.missing(model_name("memory", bundle.digest) for bundle in bundles) if triton else []
        return [*models, *await histories.missing()]

    server = GrpcServer(
        settings,
        listen=settings.memory_listen,
        domain=DOMAIN,
        services={
            "shelm.internal.v1.MemoryService": lambda s: memory_pb2_grpc.add_MemoryServiceServicer_to_server(servicer, s)
        },
        ready=ready,
    )
    await serve_until_stopped(server, "memory", settings, settings.memory_listen)


if __name__ == "__main__":
    run(main())
