"""The memory service, from its engines to its server."""

from services.agent_settings import prepare_torch
from services.memory.service import MemoryServicer, load_agent
from services.memory.settings import MemorySettings
from services.protocol.reasons import DOMAIN
from services.protocol.stubs import memory_pb2_grpc
from services.runtime.server import GrpcServer, serve_until_stopped
from services.runtime.slot_metrics import export_slots
from services.runtime.telemetry import agent_labels
from services.runtime.tokens import INNER
from services.store.history import HistoryReader
from services.store.redis import connect_redis
from services.triton.models import model_name
from services.triton.servers import connect_triton


async def main(settings: MemorySettings) -> None:
    """Loads the agents and serves until stopped."""
    prepare_torch(settings)
    triton = connect_triton(settings)
    bundles = settings.load_bundles_with_words()
    agents = [load_agent(bundle, settings, settings.slots, triton) for bundle in bundles]
    export_slots({agent_labels(one.bundle.name, one.bundle.digest): one.engine.counts for one in agents})
    histories = HistoryReader(connect_redis(settings.redis_access, timeout=settings.redis_timeout))
    servicer = MemoryServicer(agents, histories)

    async def ready() -> list[str]:
        # Local models are loaded before serving starts.
        models = await triton.missing(model_name("memory", bundle.digest) for bundle in bundles) if triton else []
        return [*models, *await histories.missing()]

    server = GrpcServer(
        settings,
        listen=settings.memory_listen,
        variable="SHELM_MEMORY_LISTEN",
        domain=DOMAIN,
        services={
            "shelm.internal.v1.MemoryService": lambda s: memory_pb2_grpc.add_MemoryServiceServicer_to_server(servicer, s)
        },
        ready=ready,
        scope=INNER,
    )
    await serve_until_stopped(server, "memory", settings, settings.memory_listen)
