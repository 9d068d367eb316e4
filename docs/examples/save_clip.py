"""Saves a published CLIP for training: `python -m docs.examples.save_clip hub:ARCH/PRETRAINED --out FOLDER`.

`FOLDER/export` is open_clip's own local folder (weights in float16), `FOLDER/training.json` states the source; both become
part of the agent bundle, so that its digest covers them. Failure policy: open_clip raises its own errors for weights that it
cannot download.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import open_clip

from agent.retrieval.clip import load_clip, preprocess_cfg
from training.clip.folder import export


def save(spec: str, out: Path) -> None:
    """Saves the model. spec: hub:ARCH/PRETRAINED, or random:ARCH/SEED to try it without weights."""
    scheme, _, rest = spec.partition(":")
    architecture, _, pretrained = rest.rpartition("/")
    config: dict[str, Any] | None = open_clip.get_model_config(architecture)
    if config is None:
        raise SystemExit(f"{architecture!r} is not one of open_clip's architectures")
    if scheme == "hub" and (open_clip.get_pretrained_cfg(architecture, pretrained) or {}).get("quick_gelu"):
        config["quick_gelu"] = True  # the activation is the published weights' own
    model: Any = load_clip(spec).model
    export(model, out / "export", config, preprocess_cfg(model))
    (out / "training.json").write_text(json.dumps({"settings": {"source": spec}}) + "\n")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec", help="such as hub:ViT-B-16/openai")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    save(options.spec, options.out)
    print(f"{options.out}/export holds {options.spec}")


if __name__ == "__main__":
    main()
