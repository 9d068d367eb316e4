"""The policy service, which serves the public API."""

from services.agent_settings import prepare_torch
from services.policy.backends.remote import RemoteMemory, RemoteRetrieval, connect
from services.policy.backends.replicas import MemoryReplicas, RetrievalReplicas
from services.policy.computation import Backends
from services.policy.server import open_server
from services.policy.settings import PolicySettings
from services.runtime.server import serve_until_stopped
from services.runtime.tokens import INNER


async def main(settings: PolicySettings) -> None:
    """Loads the agents, connects and serves until stopped."""
    prepare_torch(settings)
    server = open_server(settings, lambda: _connect(settings))
    await serve_until_stopped(server, "policy", settings, settings.listen)


def _connect(settings: PolicySettings) -> Backends:
    size, limits = settings.max_message_bytes, {"max_batch": settings.max_batch, "max_queue": settings.max_queue}
    tokens, tls = settings.backend_tokens(), settings.backend_tls()

    def token() -> str:
        return tokens.secret(INNER)

    def retrieval_at(address: str, host: str) -> RemoteRetrieval:
        return RemoteRetrieval(connect(address, size, tls, name=host), token=token, **limits)

    def memory_at(address: str, host: str) -> RemoteMemory:
        return RemoteMemory(connect(address, size, tls, name=host), token=token, **limits)

    retrieval = RetrievalReplicas(settings.retrieval_target, retrieval_at)
    memory = MemoryReplicas(settings.memory_target, memory_at)

    async def missing() -> list[str]:
        return [*await retrieval.missing(), *await memory.missing()]

    return Backends(retrieval, memory, missing)
