"""The agent behind Ray Serve: `python -m benchmarks.peers.ray_app --bundle DIR --port N` in the environment `.peers`.

One replica, because a session's state lives in it; `serve.batch` with `max_batch_size` and `batch_wait_timeout_s`.
"""

import signal
from pathlib import Path
from typing import Any

import ray
import torch
from ray import serve
from starlette.requests import Request

from agent.bundle import load_bundle
from agent.frame import Frame
from benchmarks.local_agent import LocalAgent
from benchmarks.peers.messages import answer, read_request, server_options

Step = tuple[str, Frame]


class AgentReplica:
    """What Ray Serve runs in its replica."""

    def __init__(self, folder: str, dtype: str, wait: float) -> None:
        torch.set_num_threads(1)
        self.agent = LocalAgent(load_bundle(Path(folder)), dtype=dtype)
        self.act.set_batch_wait_timeout_s(wait)

    @serve.batch(max_batch_size=64)  # type: ignore[untyped-decorator]
    async def act(self, steps: list[Step]) -> list[dict[str, Any]]:
        """Takes one step in each session."""
        return [answer(one) for one in self.agent.act([name for name, _ in steps], [frame for _, frame in steps])]

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answers one request."""
        found: dict[str, Any] = await self.act(read_request(await request.json()))
        return found


def main() -> None:
    """Serves until stopped."""
    options = server_options(__doc__)
    ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": options.port})
    deployed = serve.deployment(num_replicas=1, max_ongoing_requests=1024)(AgentReplica)
    serve.run(deployed.bind(options.bundle, options.dtype, options.wait), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
