"""The retrieval service, from its engine to its server."""

from services.agent_settings import prepare_torch
from services.protocol.reasons import DOMAIN
from services.protocol.stubs import retrieval_pb2_grpc
from services.retrieval.service import RetrievalServicer, load_agent
from services.retrieval.settings import RetrievalSettings
from services.runtime.server import GrpcServer, serve_until_stopped
from services.runtime.tokens import INNER
from services.triton.models import model_name
from services.triton.servers import connect_triton


async def main(settings: RetrievalSettings) -> None:
    """Loads the agents and serves until stopped."""
    prepare_torch(settings)
    triton = connect_triton(settings)
    bundles = settings.load_bundles_with_words()
    agents = [load_agent(bundle, settings, settings.cache_frames, triton) for bundle in bundles]
    servicer = RetrievalServicer(agents)

    async def ready() -> list[str]:
        # Local models are loaded before serving starts.
        return await triton.missing(model_name("clip_image", bundle.digest) for bundle in bundles) if triton else []

    server = GrpcServer(
        settings,
        listen=settings.retrieval_listen,
        variable="SHELM_RETRIEVAL_LISTEN",
        domain=DOMAIN,
        services={
            "shelm.internal.v1.RetrievalService": lambda s: retrieval_pb2_grpc.add_RetrievalServiceServicer_to_server(
                servicer, s
            )
        },
        ready=ready,
        scope=INNER,
    )
    await serve_until_stopped(server, "retrieval", settings, settings.retrieval_listen)
