"""Starts the retrieval service: `python -m services.retrieval`."""

import torch
from pydantic import Field, field_validator

from services.agent_settings import AgentSettings
from services.protocol.reasons import DOMAIN
from services.protocol.stubs import retrieval_pb2_grpc
from services.retrieval.service import RetrievalServicer, load_agent
from services.runtime.server import GrpcServer, run, serve_until_stopped, start_process
from services.runtime.settings import check_address
from services.triton.client import connect_triton
from services.triton.models import model_name


class RetrievalSettings(AgentSettings):
    """Settings of the retrieval service."""

    retrieval_listen: str = Field("127.0.0.1:50052", description="HOST:PORT")
    cache_frames: int = Field(4096, ge=0, description="frames per agent whose words are cached")

    _address = field_validator("retrieval_listen")(check_address)


async def main() -> None:
    """Loads the agents and serves until stopped."""
    settings = start_process("retrieval", RetrievalSettings)
    torch.set_num_threads(settings.torch_threads)
    triton = connect_triton(settings)
    bundles = settings.load_bundles()
    agents = [load_agent(bundle, settings, settings.cache_frames, triton) for bundle in bundles]
    servicer = RetrievalServicer(agents)

    async def ready() -> list[str]:
        # Local models are loaded before serving starts.
        return await triton.missing(model_name("clip_image", bundle.digest) for bundle in bundles) if triton else []

    server = GrpcServer(
        settings,
        listen=settings.retrieval_listen,
        domain=DOMAIN,
        services={
            "shelm.internal.v1.RetrievalService": lambda s: retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server(
                servicer, s
            )
        },
        ready=ready,
    )
    await serve_until_stopped(server, "retrieval", settings, settings.retrieval_listen)


if __name__ == "__main__":
    run(main())
