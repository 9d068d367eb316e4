"""The agent behind LitServe: `python -m benchmarks.peers.litserve_app --bundle DIR --port N` in the environment `.peers`.

One worker, because a session's state lives in it; LitServe's batching with `max_batch_size` and `batch_timeout`.
"""

from pathlib import Path
from typing import Any

import litserve
import torch

from agent.bundle import load_bundle
from agent.frame import Frame
from benchmarks.local_agent import Answer, LocalAgent
from benchmarks.peers.messages import answer, read_request, server_options

Step = tuple[str, Frame]


class AgentAPI(litserve.LitAPI):  # type: ignore[misc]
    """What LitServe calls, in this order."""

    def __init__(self, folder: str, dtype: str, **batching: Any) -> None:
        super().__init__(**batching)
        self.folder, self.dtype = folder, dtype

    def setup(self, device: str) -> None:
        """Loads the agent in the worker."""
        torch.set_num_threads(1)
        self.agent = LocalAgent(load_bundle(Path(self.folder)), device=device, dtype=self.dtype)

    def decode_request(self, request: dict[str, Any]) -> Step:
        """Reads one request."""
        return read_request(request)

    def batch(self, inputs: list[Step]) -> list[Step]:
        """Collects requests as they are."""
        return list(inputs)

    def predict(self, steps: list[Step]) -> list[Answer]:
        """Takes one step in each session."""
        return self.agent.act([name for name, _ in steps], [frame for _, frame in steps])

    def unbatch(self, output: list[Answer]) -> list[Answer]:
        """Gives each request its answer."""
        return output

    def encode_response(self, output: Answer) -> dict[str, Any]:
        """Writes one answer."""
        return answer(output)


def main() -> None:
    """Serves until stopped."""
    options = server_options(__doc__)
    api = AgentAPI(options.bundle, options.dtype, max_batch_size=64, batch_timeout=options.wait)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=False)
    server.run(host="127.0.0.1", port=options.port, num_api_servers=1, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
