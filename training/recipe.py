"""`make train ENV=... METHOD=...`: trains and evaluates any method on any environment that runs here.

What the environment's preset needs and is not there yet is made first: the small CLIP of its family and that CLIP's
vocabulary. Every part writes below runs/ and goes on from its checkpoint when the command is given again.
`--clip-too` trains the CLIP also where a shipped bundle has one. Failure policy: a part that fails ends the recipe.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from training.presets import METHODS, SMOLLM2, settings

CLIP_TRAINING = {  # which command makes the CLIP that a preset names
    "runs/clip-minigrid/export": "training.clip.train",
    "runs/clip-world/export": "training.clip.world.train",
    "runs/clip-pictures/export": "training.clip.pictures.train",
}
MINIGRID_CLIP = ["--clip", "file:runs/clip-minigrid/export", "--vocabulary", "runs/clip-minigrid/vocabulary.safetensors"]


def parts(env: str, method: str, seed: int, *, clip_too: bool) -> list[list[str]]:
    """The commands, in order."""
    out = f"runs/{env.replace('/', '-')}-{method}-{seed}"
    chosen = MINIGRID_CLIP if clip_too and env.startswith("MiniGrid-") else []
    clip, vocabulary = (chosen[1], chosen[3]) if chosen else (settings(env)["clip"], settings(env)["vocabulary"])
    train = ["training.ppo", "--env", env, "--method", method, "--seed", str(seed), "--out", out, "--resume", *chosen]
    evaluate = ["training.evaluate", "--run", out, "--env", env, "--out", f"{out}/evaluation-drawn.json"]
    return [*_clip(clip.removeprefix("file:"), vocabulary), train, evaluate]


def _clip(export: str, vocabulary: str) -> list[list[str]]:
    """How to make a small CLIP and its vocabulary; nothing where both are there."""
    if Path(export).exists() and Path(vocabulary).exists():
        return []
    build = ["services.retrieval.build_vocabulary", "--clip", f"file:{export}", "--language-model", SMOLLM2]
    folder = str(Path(export).parent)
    return [[CLIP_TRAINING[export], "--out", folder, "--resume"], [*build, "--out", vocabulary]]


def main() -> None:
    """Runs the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", required=True)
    parser.add_argument("--method", choices=METHODS, default="shelm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clip-too", action="store_true")
    options = parser.parse_args()
    for part in parts(options.env, options.method, options.seed, clip_too=options.clip_too):
        print("python -m", *part, flush=True)
        subprocess.run([sys.executable, "-m", *part], check=True)


if __name__ == "__main__":
    main()
