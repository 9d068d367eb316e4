"""What an exported model would gain: `python -m benchmarks.exported [--json FILE] [--quick]`.

The two models of an agent that can be exported whole, the image tower and the CNN with the heads, run as the services run
them (torch) and as ONNX files (onnxruntime, which Triton's own backend runs), on one thread of the same CPU, in turns. The
language model is the third: it cannot be exported with its slots. Outputs must be equal to 1e-4, or the benchmark ends.
Bundles: `shipped`, and `paper` with random weights of the published sizes.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from agent.bundle import AgentBundle, load_bundle
from agent.engines.retrieval import load_retriever
from agent.policy.actor_critic import ActorCritic, load_actor_critic
from benchmarks.bundles import paper_bundle
from benchmarks.deployments import BUNDLE
from benchmarks.report import interleaved, options, spread, table, write

BATCHES, ROUNDS, QUICK_ROUNDS = (1, 16), 15, 2
TOLERANCE = 1e-4


class Tower(nn.Module):
    """Pixels float32 (rows, 3, size, size) -> unit embeddings (rows, dimension)."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        return normalize(self.visual(pixels), dim=-1)


class Heads(nn.Module):
    """Frames uint8 (rows, 3, height, width) and memory vectors (rows, dimension) -> parameters beside the value."""

    def __init__(self, model: ActorCritic) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor, memory: Tensor) -> Tensor:
        """See the class."""
        parameters, values = self.model.decide(self.model.encode(frames), memory)
        return torch.cat([parameters, values[:, None]], 1)


def onnx(model: nn.Module, inputs: tuple[Tensor, ...]) -> onnxruntime.InferenceSession:
    """Exports a model for any number of rows; returns what runs the file on one thread."""
    rows = tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs)
    with torch.inference_mode():
        program = torch.onnx.export(model, inputs, dynamic_shapes=rows, external_data=False, verbose=False)
    assert program
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString(), settings, ["CPUExecutionProvider"])


def models(bundle: AgentBundle) -> Iterator[tuple[str, nn.Module, tuple[Tensor, ...]]]:
    """Yields the name of a model, the model, and inputs of two rows."""
    manifest = bundle.manifest
    retriever = load_retriever(bundle, device="cpu", cache_frames=0)
    shape = manifest.observation.height, manifest.observation.width, 3
    frames = np.random.default_rng(0).integers(256, size=(2, *shape), dtype=np.uint8)
    yield "image tower", Tower(retriever.visual).eval(), (retriever.preprocess(list(frames)),)
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()
    yield "CNN and heads", Heads(load_actor_critic(bundle)).eval(), (pictures, torch.rand(2, manifest.memory.dimension))


def rows_of(name: str, bundle: AgentBundle, rounds: int) -> Iterator[dict[str, Any]]:
    """Yields a row for each model and number of rows in a batch."""
    for what, model, inputs in models(bundle):
        session = onnx(model, inputs)
        for batch in BATCHES:
            given = tuple(part[:1].repeat(batch, *[1] * (part.ndim - 1)) for part in inputs)
            feed = {one.name: part.numpy() for one, part in zip(session.get_inputs(), given, strict=True)}
            ways: dict[str, Callable[[], NDArray[np.float32]]] = {
                "torch": partial(_torch, model, given),
                "onnx": partial(_onnx, session, feed),
            }
            one, other = (way() for way in ways.values())
            difference = float(np.abs(one - other).max())
            if difference > TOLERANCE:
                raise ValueError(f"{name}, {what}: outputs differ by {difference}")
            found = interleaved(ways, rounds)
            times = {way: spread([1000 * one for one in values])["median"] for way, values in found.items()}
            yield {
                "bundle": name,
                "model": what,
                "batch": batch,
                "torch_ms": times["torch"],
                "onnx_ms": times["onnx"],
                "ratio": round(times["torch"] / times["onnx"], 2),
                "difference": difference,
            }


@torch.inference_mode()
def _torch(model: nn.Module, inputs: tuple[Tensor, ...]) -> NDArray[np.float32]:
    output: NDArray[np.float32] = model(*inputs).numpy()
    return output


def _onnx(session: onnxruntime.InferenceSession, feed: dict[str, Any]) -> NDArray[np.float32]:
    output: NDArray[np.float32] = session.run(None, feed)[0]
    return output


def main() -> None:
    """Runs the benchmark."""
    given = options(__doc__).parse_args()
    torch.set_num_threads(1)
    rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    rows = list(rows_of("shipped", load_bundle(Path(BUNDLE)), rounds))
    if not given.quick:
        with tempfile.TemporaryDirectory() as folder:
            rows += rows_of("paper", paper_bundle(Path(folder) / "paper"), rounds)
    print(table(rows))
    write({"rows": rows}, given.json)


if __name__ == "__main__":
    main()
