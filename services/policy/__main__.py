"""Starts the policy service, which serves the public API: `python -m services.policy`."""

import torch
from pydantic import Field

from services.policy.backends.remote import RemoteMemory, RemoteRetrieval, connect
from services.policy.backends.replicas import MemoryReplicas, RetrievalReplicas
from services.policy.server import PolicyServerSettings, open_server
from services.runtime.server import CannotStart, load_tokens, run, serve_until_stopped, start_process


class PolicySettings(PolicyServerSettings):
    """Settings of the policy service."""

    retrieval_target: str = Field("127.0.0.1:50052", description="HOST:PORT[,HOST:PORT...] of the retrieval replicas")
    memory_target: str = Field("127.0.0.1:50053", description="HOST:PORT[,HOST:PORT...] of the memory replicas")


async def main() -> None:
    """Loads the agents, connects and serves until stopped."""
    settings = start_process("policy", PolicySettings)
    torch.set_num_threads(settings.torch_threads)
    size, limits = settings.max_message_bytes, {"max_batch": settings.max_batch, "max_queue": settings.max_queue}
    token = _backend_token(settings)

    def retrieval_at(address: str) -> RemoteRetrieval:
        return RemoteRetrieval(connect(address, size), token=token, **limits)

    def memory_at(address: str) -> RemoteMemory:
        return RemoteMemory(connect(address, size), token=token, **limits)

    retrieval = RetrievalReplicas(settings.retrieval_target, "retrieval", retrieval_at)
    memory = MemoryReplicas(settings.memory_target, "memory", memory_at)

    async def backends_ready() -> list[str]:
        return [*await retrieval.missing(), *await memory.missing()]

    server = open_server(settings, retrieval, memory, backends_ready)
    await serve_until_stopped(server, "policy", settings, settings.listen)


def _backend_token(settings: PolicySettings) -> str:
    """The token that policy sends to retrieval and memory: the first one in the tokens file that may act."""
    tokens = load_tokens(settings)
    able = [token.secret for token in tokens if token.scopes & {"act", "admin"}]
    if tokens and not able:
        raise CannotStart("SHELM_TOKENS_FILE: no token may act, and policy needs one to call retrieval and memory")
    return able[0] if able else ""


if __name__ == "__main__":
    run(main())
