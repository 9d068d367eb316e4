"""Compares the engines on a GPU with those on the CPU: `python -m benchmarks.cuda_agreement [--out FILE]`.

Passes 1,000 frames of random walks through retrieval, memory and actor-critic of the default bundle, in float32, on the CPU
and on the GPU. Words and most probable actions must agree on at least 99.5 % of the frames. Without a CUDA device it prints
so and exits with status 3.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

from agent.bundle import load_bundle
from agent.engines.memory import load_slots
from agent.engines.policy import load_policy
from agent.engines.retrieval import load_retriever
from agent.history import MemoryStep, MemoryVector, empty_history
from benchmarks.act import BUNDLE, record_frames

FRAMES, EPISODE = 1000, 100  # frames in all, and in an episode
NEEDED = 0.995


def outcomes(device: str) -> list[tuple[tuple[int, ...], int]]:
    """Returns the words and the most probable action of every frame."""
    bundle = load_bundle(Path(BUNDLE))
    retriever = load_retriever(bundle, device=device, cache_frames=0)
    slots = load_slots(bundle, device=device, slots=1)
    policy = load_policy(bundle, device=device)
    history, found = b"", []
    for i, frame in enumerate(record_frames(FRAMES)):
        if i % EPISODE == 0:
            history = empty_history(bundle.digest)
        words = tuple(word.row for word in retriever.retrieve([frame])[0])
        (answer,) = slots.remember([MemoryStep(f"episode-{i // EPISODE}", i % EPISODE, words, history)])
        assert isinstance(answer, MemoryVector)
        history = answer.history_digest
        ((parameters, _),) = policy.decide([(policy.encode([frame])[0], answer.vector)])
        found.append((words, int(np.argmax(parameters))))
    return found


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device: not measured", file=sys.stderr)
        sys.exit(3)
    torch.set_num_threads(1)
    pairs = list(zip(outcomes("cpu"), outcomes(options.device), strict=True))
    result = {
        "device": torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device,
        "frames": len(pairs),
        "same_words": float(np.mean([one[0] == other[0] for one, other in pairs])),
        "same_actions": float(np.mean([one[1] == other[1] for one, other in pairs])),
    }
    print(json.dumps(result))
    if options.out:
        options.out.write_text(json.dumps(result) + "\n")
    sys.exit(min(float(result["same_words"]), float(result["same_actions"])) < NEEDED)


if __name__ == "__main__":
    main()
