"""Compares words and greedy actions of every way to compute with float32 on the CPU: `python -m benchmarks.agreement`.

For every shipped agent, 1,000 frames are recorded while it plays its own environment with drawn actions. All paths get these
frames. A path is a device, a dtype of the image tower and a dtype of the language model. Shares of the frames are counted on
which

- `first_word`, `words`: the most similar word, or all k words in order, are those of float32;
- `forced`: the greedy action is that of float32, where all words before the step are float32's and those of the step are the
  path's own;
- `free`: the greedy action is that of float32, where the whole episode's words are the path's own. The actions of the
  recording stay, so one differing word can change many later ones.

A path may be a default if words and forced actions agree on at least 99.5 %. Options: `--json FILE`, `--quick` (100 frames),
`--device cuda`, `--bundles`, `--paths`. Exit status: 1 if a path agrees less, 3
if the device is not there. An agent whose environment cannot run here (pictures that are not fetched, no renderer) is named
and left out.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from agent.bundle import AgentBundle, load_bundle
from agent.engines.memory import load_slots
from agent.engines.policy import load_policy
from agent.engines.retrieval import load_retriever
from agent.frame import Frame, frame_fingerprint
from agent.history import MemoryStep, MemoryVector, empty_history
from agent.memory.slots import MemorySlots
from agent.policy.heads import action_heads, choose
from benchmarks.report import options, write
from training.environments import single_environment

FRAMES, QUICK, BATCH, NEEDED = 1000, 100, 16, 0.995
PAIRS = ("float32/float32", "float32/float16", "float32/bfloat16", "bfloat16/float32", "bfloat16/bfloat16")
Words = tuple[int, ...]
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class ComputePath:
    """One way to compute."""

    device: str = "cpu"
    retrieval: str = "float32"
    memory: str = "float32"


REFERENCE = ComputePath()


def memory_engine(bundle: AgentBundle, path: ComputePath) -> MemorySlots:
    """Returns the memory slots of a path."""
    return load_slots(bundle, device=path.device, slots=2, dtype=path.memory)


def paths(device: str, pairs: Sequence[str]) -> list[ComputePath]:
    """Returns the paths to compare; pairs: RETRIEVAL/MEMORY."""
    found = [ComputePath(device, *pair.split("/")) for pair in pairs]
    return [path for path in found if path != REFERENCE]


class Episodes:
    """The memory of one path over episodes; `before` are an episode's words, up to the step."""

    def __init__(self, slots: MemorySlots, digest: str) -> None:
        self._slots, self._digest = slots, digest
        self._before: list[int] = []
        self._history, self._step, self._episode = b"", 0, 0

    def begin(self) -> None:
        """Begins the next episode."""
        self._before, self._history, self._step = [], empty_history(self._digest), 0
        self._episode += 1

    def vector(self, words: Words, *, remembered: Words) -> Vector:
        """Returns the memory vector after the step's `words`; goes on with `remembered` in their place."""
        step = MemoryStep(f"episode-{self._episode}", self._step, remembered, self._history)
        (answer,) = self._slots.remember([step])
        assert isinstance(answer, MemoryVector)
        own = answer.vector if words == remembered else self._slots.encode_history([*self._before, *words])
        self._before += remembered
        self._history, self._step = answer.history_digest, self._step + 1
        return own


def record(bundle: AgentBundle, count: int, bar: Any) -> list[tuple[bool, Frame]]:
    """Plays the agent in float32 with drawn actions: (whether an episode begins, frame) of each step."""
    env, heads = single_environment(bundle.manifest.environments[0]), action_heads(bundle.manifest.actions)
    retriever, policy = load_retriever(bundle, device="cpu", cache_frames=FRAMES), load_policy(bundle, device="cpu")
    memory, taken = Episodes(memory_engine(bundle, REFERENCE), bundle.digest), list[tuple[bool, Frame]]()
    seed, done, frame = -1, True, None
    while len(taken) < count:
        if begins := done:
            seed += 1
            frame, _ = env.reset(seed=seed)
            memory.begin()
        assert frame is not None
        taken.append((begins, frame))
        words = tuple(word.row for word in retriever.retrieve([frame])[0])
        vector = memory.vector(words, remembered=words)
        ((row, _),) = policy.decide([(policy.encode([frame])[0], vector)])
        action, _ = choose(heads, row, seed=seed, step=len(taken), deterministic=False)
        frame, _, terminated, truncated, _ = env.step(action)
        done = bool(terminated or truncated)
        bar.update()
    env.close()
    return taken


def words_of(bundle: AgentBundle, path: ComputePath, frames: Sequence[Frame], bar: Any) -> list[Words]:
    """Returns the words of every frame, in batches."""
    retriever = load_retriever(bundle, device=path.device, dtype=path.retrieval, cache_frames=0)
    found: list[Words] = []
    for first in range(0, len(frames), BATCH):
        part = frames[first : first + BATCH]
        found += [tuple(word.row for word in words) for words in retriever.retrieve(part)]
        bar.update(len(part))
    return found


def actions_of(
    bundle: AgentBundle,
    path: ComputePath,
    steps: Sequence[tuple[bool, Frame]],
    words: Sequence[tuple[Words, Words]],
    bar: Any,
) -> list[str]:
    """Returns the greedy action of every step. words: of each step, its own, and those that later steps remember."""
    memory, policy = Episodes(memory_engine(bundle, path), bundle.digest), load_policy(bundle, device=path.device)
    heads, found = action_heads(bundle.manifest.actions), []
    for (begins, frame), (own, kept) in zip(steps, words, strict=True):
        if begins:
            memory.begin()
        ((row, _),) = policy.decide([(policy.encode([frame])[0], memory.vector(own, remembered=kept))])
        found.append(str(choose(heads, row, seed=0, step=0, deterministic=True)[0]))
        bar.update()
    return found


def share(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """Returns the share of equal pairs."""
    return float(np.mean([one == other for one, other in zip(ours, theirs, strict=True)]))


def compare(bundle: AgentBundle, chosen: Sequence[ComputePath], count: int) -> Iterator[dict[str, Any]]:
    """Yields one row for each path."""
    bar = partial(tqdm, total=count, unit="frame", leave=False)
    with bar(desc=f"{bundle.name}: record") as progress:
        steps = record(bundle, count, progress)
    frames, words = [frame for _, frame in steps], dict[tuple[str, str], list[Words]]()
    for path in [REFERENCE, *chosen]:
        if (key := (path.device, path.retrieval)) not in words:
            with bar(desc=f"{bundle.name}: words {' '.join(key)}") as progress:
                words[key] = words_of(bundle, path, frames, progress)
    exact = words["cpu", "float32"]
    with bar(desc=f"{bundle.name}: float32") as progress:
        greedy = actions_of(bundle, REFERENCE, steps, list(zip(exact, exact, strict=True)), progress)
    for path in chosen:
        own = words[path.device, path.retrieval]
        with bar(desc=f"{bundle.name}: {path}", total=2 * count) as progress:
            forced = actions_of(bundle, path, steps, list(zip(own, exact, strict=True)), progress)
            free = actions_of(bundle, path, steps, list(zip(own, own, strict=True)), progress)
        yield {
            "bundle": bundle.name,
            **asdict(path),
            "frames": count,
            "distinct_frames": len({frame_fingerprint(frame) for frame in frames}),
            "episodes": sum(begins for begins, _ in steps),
            "first_word": share([one[0] for one in own], [one[0] for one in exact]),
            "words": share(own, exact),
            "forced": share(forced, greedy),
            "free": share(free, greedy),
        }


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bundles", type=Path, nargs="*", default=sorted(Path("models").glob("*/agent.json")))
    parser.add_argument("--paths", nargs="*", default=PAIRS, metavar="RETRIEVAL/MEMORY", help="dtypes of the two models")
    chosen = parser.parse_args()
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device: not measured", file=sys.stderr)
        sys.exit(3)
    torch.set_num_threads(1)  # as the services by default; more threads than free cores wait for one another
    rows: list[dict[str, Any]] = []
    for folder in chosen.bundles:
        bundle = load_bundle(folder.parent if folder.name == "agent.json" else folder)
        try:
            for row in compare(bundle, paths(chosen.device, chosen.paths), QUICK if chosen.quick else FRAMES):
                print(json.dumps(row), flush=True)
                rows.append(row)
        except (FileNotFoundError, ImportError) as error:
            print(f"{bundle.name}: not measured: {error}", file=sys.stderr)
        write({"device": chosen.device, "threads": torch.get_num_threads(), "rows": rows}, chosen.json)
    sys.exit(any(min(row["words"], row["forced"]) < NEEDED for row in rows))


if __name__ == "__main__":
    main()
