"""HELM and HELMv2 of a training run as a policy without words: the entry point of their bundles (`training.bundle_policy`).

The bundle's folder holds the run's settings and weights, and for HELMv2 the CLIP model. What an episode remembers, the keys
and values of the language model, is the policy's state, so it is committed with each step. Failure policy: ValueError if the
language model is not the one that the agent was trained with; otherwise as training.agents.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from agent.memory.described import describe
from agent.wordless.policy import Decided, Item
from training.agents import load_actor_critic_of
from training.engines import load_memory
from training.memory import EmbeddingMemory

RUN, WEIGHTS, STATISTICS, CLIP = "run.json", "policy.safetensors", "memory.safetensors", "clip"
ROWS = 16  # episodes that are computed at once


class HelmPolicy:
    """Frames and states -> action parameters, values and next states."""

    def __init__(self, folder: Path) -> None:
        run: dict[str, Any] = json.loads((folder / RUN).read_text())
        expected, found = run["language_model_sha256"], describe(run["language_model"]).sha256
        if found != expected:
            raise ValueError(
                f"{folder / RUN}: language_model: expected SHA-256 {expected}, {run['language_model']} has {found}"
            )
        if (folder / CLIP).exists():
            run["clip"] = f"file:{folder / CLIP}"
        height, width = run["frame"]
        memory = load_memory(run, num_envs=ROWS, pixels=height * width)
        if not isinstance(memory, EmbeddingMemory):
            raise ValueError(f"{folder / RUN}: method: expected helm or helmv2, got {run['method']}")
        if run["method"] == "helmv2":
            memory.load_state_dict(load_file(folder / STATISTICS))
        self._memory = memory
        self._policy = load_actor_critic_of(run, load_file(folder / WEIGHTS), memory=memory.dimension)

    @property
    def state_bytes(self) -> int:
        """Bytes of the keys and values, and of the episode's length."""
        return self._memory.episode_bytes

    def decide(self, items: Sequence[Item]) -> list[Decided | Exception]:
        """Remembers each frame and acts on it."""
        return [one for at in range(0, len(items), ROWS) for one in self._decide(items[at : at + ROWS])]

    @torch.inference_mode()
    def _decide(self, items: Sequence[Item]) -> list[Decided | Exception]:
        for row, (_, state) in enumerate(items):
            if state:
                self._memory.load(row, state)
            else:
                self._memory.begin(row)
        frames = np.stack([frame for frame, _ in items])
        vectors = torch.from_numpy(self._memory.remember(frames, range(len(items))))
        parameters, values = self._policy.decide(self._policy.encode(torch.from_numpy(frames).permute(0, 3, 1, 2)), vectors)
        states = [self._memory.save(row) for row in range(len(items))]
        return list(zip(parameters.numpy(), values.tolist(), states, strict=True))
