"""One GPU against its own limits, and against float32 on the CPU: `python -m benchmarks.gpu --json FILE [--quick]`.

1. `limits`: measured copy bandwidth (bytes per second, reads and writes) and rate of a large matrix product.
2. `fast_paths`: the kernel over memory slots and CUDA graphs against the plain ways (benchmarks.gpu.fast_paths).
3. `agreement`: shares of the shipped agent's frames on which words and greedy actions are those of float32 on the CPU
   (benchmarks.agreement).
4. `engines`: retrieval, memory, policy, and the whole pipeline without services, at batches of 1 to 512 and windows of 63
   and 511, with the shares of the roofline (benchmarks.gpu.roofline).
5. `services`: one process or three and a Redis, in a closed loop, for both the paper's sizes and the shipped agent; with
   `--triton` also with all models in a Triton.

The paper's sizes have random weights and `--dtype bfloat16`. The JSON file is written after every row, so that a run that is
cut short leaves what it has; `--seconds` bounds the whole, and what no time is left for is named in `left_out`.

Exit status: 3 if there is no CUDA device, unless `--device cpu` is given.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from agent.bundle import AgentBundle, load_bundle
from agent.engines.dtype import resolve_dtype
from benchmarks.bundles import paper_bundle
from benchmarks.gpu import engines, fast_paths, roofline
from benchmarks.report import options, table, write

ROOT = Path(__file__).parents[2]
WINDOWS, BATCHES, REPEATS = (63, 511), (1, 2, 4, 8, 16, 32, 64, 128, 256, 512), 100
QUICK_WINDOWS, QUICK_BATCHES, QUICK_REPEATS = (15,), (1, 4), 3
PARTS = ("fast_paths", "engines", "agreement", "services")
COMPARED = (1, 16, 64, 256)
EPISODES, SECONDS, FRAMES = (1, 64, 512), 440.0, 200


class Run:
    """The result as it grows. seconds: after which no further row is begun."""

    def __init__(self, path: Path | None, seconds: float, **settings: Any) -> None:
        self.result: dict[str, Any] = {**settings, "left_out": {}}
        self._path, self._end = path, time.monotonic() + seconds

    def part(self, name: str, rows: Callable[[], Iterable[Any]]) -> None:
        """Adds the rows of a part, as long as there is time; a part that cannot run here is named with the reason."""
        self.result[name] = found = list[Any]()
        try:
            if time.monotonic() > self._end:
                raise TimeoutError("no time was left")
            for row in tqdm(rows(), desc=name, unit="row"):
                found.append(row)
                self.write()
                if time.monotonic() > self._end:
                    raise TimeoutError("no time was left for the rest")
        except (ImportError, OSError, RuntimeError) as error:  # TimeoutError is an OSError
            self.result["left_out"][name] = f"{type(error).__name__}: {error}"[:500]
        self.write()

    def write(self) -> None:
        """Writes what there is."""
        write(self.result, self._path)


GPU_PAIRS = ("float32/float32", "bfloat16/float32", "float32/bfloat16", "bfloat16/bfloat16")


def limits(device: str, dtype: str, quick: bool) -> dict[str, float]:
    """Measures what the device can do."""
    size, side = (2**24, 512) if quick else (roofline.COPIED, roofline.SIDE)
    rate = roofline.matrix_rate(device, resolve_dtype(dtype, device), side)
    return {"bandwidth": roofline.copy_bandwidth(device, size), "rate": rate}


def agreement(device: str, frames: int) -> Iterable[dict[str, Any]]:
    """Compares the shipped agent on the device with float32 on the CPU."""
    from benchmarks.agreement import compare, paths

    return compare(load_bundle(ROOT / "models/minigrid-memory"), paths(device, GPU_PAIRS), frames)


def ways(bundles: list[AgentBundle], setup: engines.Setup) -> Iterable[dict[str, Any]]:
    """Compares the fast ways with the plain ones, for each window."""
    if setup.device != "cpu":  # where the kernel needs Triton's interpreter, as the unit tests have it
        yield from fast_paths.kernel_differences(setup.device)
    batches = tuple(batch for batch in COMPARED if batch <= max(setup.batches))
    for bundle in bundles:
        window = bundle.manifest.memory.window
        yield from fast_paths.kernel_times(setup.device, resolve_dtype(setup.dtype, setup.device), batches, window)
        yield from fast_paths.graph_times(engines.language_model(bundle, setup), setup.device, batches)


def services(bundles: list[AgentBundle], chosen: Any) -> Iterable[dict[str, Any]]:
    """Measures the services; imported here, because a machine for the GPU alone may lack what they need."""
    from benchmarks.gpu.services import service_rows

    episodes, seconds = ((1, 4), 1.0) if chosen.quick else (EPISODES, 6.0)
    return service_rows(
        bundles, device=chosen.device, dtype=chosen.dtype, episodes=episodes, seconds=seconds, triton=chosen.triton
    )


def papers(root: Path, quick: bool) -> list[AgentBundle]:
    """Makes the paper's agent with every window; a quick run has two layers and a small CLIP."""
    windows = QUICK_WINDOWS if quick else WINDOWS
    small: dict[str, Any] = {"layers": 2, "clip": "random:ViT-B-32/0"} if quick else {}
    return [paper_bundle(root / f"window-{window}", window=window, **small) for window in windows]


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--triton", action="store_true", help="also measure with Triton; needs `make triton-setup`")
    chosen = parser.parse_args()
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device: not measured", file=sys.stderr)
        sys.exit(3)
    if chosen.device == "cpu":
        torch.set_num_threads(1)  # more threads than free cores wait for one another
    measured = limits(chosen.device, chosen.dtype, chosen.quick)
    run = Run(chosen.json, chosen.seconds, device=chosen.device, dtype=chosen.dtype, limits=measured)
    batches, repeats = (QUICK_BATCHES, QUICK_REPEATS) if chosen.quick else (BATCHES, REPEATS)
    setup = engines.Setup(chosen.device, chosen.dtype, batches, repeats, **measured)
    with tempfile.TemporaryDirectory() as root:
        bundles = papers(Path(root), chosen.quick)
        parts: dict[str, Callable[[], Iterable[Any]]] = {
            "fast_paths": lambda: ways(bundles, setup),
            "engines": lambda: engines.rows(bundles, setup),
            "agreement": lambda: agreement(chosen.device, 20 if chosen.quick else FRAMES),
            "services": lambda: services([load_bundle(ROOT / "models/minigrid-memory"), bundles[-1]], chosen),
        }
        for name in chosen.parts:
            run.part(name, parts[name])
    heads = ("part", "window", "batch", "p50_ms", "p99_ms", "rate", "share_of_roofline", "error")
    print(table({head: row.get(head, "") for head in heads} for row in run.result.get("engines", ())))
    for name in ("limits", *chosen.parts, "left_out"):
        if name != "engines":
            print(name, run.result[name])


if __name__ == "__main__":
    main()
