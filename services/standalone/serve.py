"""Serves the public API with all services in one process: `python -m services.standalone`. Redis remains a separate process.

Policy calls retrieval and memory directly, without gRPC; everything else is the same code as in the separate services.
"""

from services.agent_settings import prepare_torch
from services.memory.service import MemoryServicer
from services.memory.service import load_agent as load_memory
from services.policy.computation import Backends
from services.policy.server import open_server
from services.retrieval.service import RetrievalServicer
from services.retrieval.service import load_agent as load_retrieval
from services.runtime.server import serve_until_stopped
from services.runtime.slot_metrics import export_slots
from services.runtime.telemetry import agent_labels
from services.standalone.settings import StandaloneSettings
from services.store.history import HistoryReader
from services.store.redis import connect_redis
from services.triton.models import model_name
from services.triton.servers import connect_triton


async def main(settings: StandaloneSettings) -> None:
    """Loads the agents and serves until stopped."""
    prepare_torch(settings)
    server = open_server(settings, lambda: _load(settings))
    await serve_until_stopped(server, "standalone", settings, settings.listen)


def _load(settings: StandaloneSettings) -> Backends:
    triton, bundles = connect_triton(settings), settings.load_bundles_with_words()
    frames = settings.cache_frames
    retrieval = RetrievalServicer([load_retrieval(bundle, settings, frames, triton) for bundle in bundles])
    histories = HistoryReader(connect_redis(settings.redis_access, timeout=settings.redis_timeout))
    memories = [load_memory(bundle, settings, settings.slots, triton) for bundle in bundles]
    export_slots({agent_labels(one.bundle.name, one.bundle.digest): one.engine.counts for one in memories})
    memory = MemoryServicer(memories, histories)

    async def missing() -> list[str]:
        names = (model_name(part, bundle.digest) for bundle in bundles for part in ("clip_image", "memory"))
        return await triton.missing(names) if triton else []

    return Backends(retrieval, memory, missing)
