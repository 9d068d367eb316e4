"""Puts an agent bundle together from what training wrote: `python -m training.bundle --run runs/NAME --out models/NAME ...`.

Copies the CLIP model, the vocabulary and the policy weights into the bundle, names the language model with its
SHA-256, and writes the manifest with the run's settings as provenance. Failure policy: a missing file is named; the
bundle is verified by loading it.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from services.domain.bundle import AgentBundle, write_manifest
from services.domain.sources import file_sha256, package_file

MINIGRID_ACTIONS = ["left", "right", "forward", "pickup", "drop", "toggle", "done"]
SMOLLM2_WIDTH = 576


def make_bundle(
    out: Path, *, run: Path, clip: Path, vocabulary: Path, name: str, description: str, environments: list[str]
) -> AgentBundle:
    """Writes the bundle folder; files of an older bundle in it are removed, except its model card."""
    settings = json.loads((run / "run.json").read_text())
    for old in (out / "clip", out / "agent.json"):
        shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copytree(clip, out / "clip")
    shutil.copy(vocabulary, out / "vocabulary.safetensors")
    shutil.copy(run / "policy.safetensors", out / "policy.safetensors")
    source = settings["language_model"]
    manifest: dict[str, Any] = {
        "format": 1,
        "name": name,
        "description": description,
        "environments": environments,
        "observation": {"height": 56, "width": 56},
        "actions": {"discrete": len(MINIGRID_ACTIONS), "names": MINIGRID_ACTIONS},
        "retrieval": {"clip": "file:clip", "vocabulary": "vocabulary.safetensors", "k": settings["k"]},
        "memory": {
            "kind": "causal_lm",
            "source": source,
            "sha256": file_sha256(package_file(source)),
            "layers": settings["layers"],
            "window": settings["window"],
            "dimension": SMOLLM2_WIDTH,
        },
        "policy": settings["policy"],
        "provenance": {
            "policy": {key: value for key, value in settings.items() if key not in ("policy", "out", "resume")},
            "clip": json.loads((clip.parent / "training.json").read_text())["settings"],
        },
    }
    return write_manifest(out, manifest)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clip", type=Path, default=Path("runs/clip-minigrid/export"))
    parser.add_argument("--vocabulary", type=Path, default=Path("runs/clip-minigrid/vocabulary.safetensors"))
    parser.add_argument("--name", required=True)
    parser.add_argument("--description", required=True)
    parser.add_argument("--environment", action="append", required=True)
    options = parser.parse_args()
    bundle = make_bundle(
        options.out,
        run=options.run,
        clip=options.clip,
        vocabulary=options.vocabulary,
        name=options.name,
        description=options.description,
        environments=options.environment,
    )
    print(f"{options.out}: {bundle.name} {bundle.digest}")


if __name__ == "__main__":
    main()
