"""Converts the language models of agent bundles for the image's SHELM_CACHE: `python convert.py BUNDLES`.

BUNDLES is a folder of bundles; only their manifests are needed. Models from other sources than an installed package are
skipped, because the service loads them directly.
"""

import json
import sys
from pathlib import Path

import torch

from agent.bundle import MemoryPart
from agent.memory.weights import LanguageModelSpec, load_language_model


def convert(bundles: Path) -> None:
    """Loads every model once, which writes its converted weights to the cache."""
    for manifest in sorted(bundles.glob("*/agent.json")):
        part = MemoryPart.model_validate(json.loads(manifest.read_text())["memory"])
        if part.source.startswith("package:"):
            spec = LanguageModelSpec(
                kind=part.kind, source=part.source, sha256=part.sha256, layers=part.layers, window=part.window
            )
            load_language_model(spec, lm_token_ids=torch.zeros(1, dtype=torch.long), tokens_per_step=1)
            print(f"{manifest.parent.name}: {part.source}, {part.layers} layers")


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
