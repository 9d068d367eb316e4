"""`make train ENV=... METHOD=...`: trains and evaluates any method on any supported environment.

Missing prerequisites of the environment's preset are created first: the small CLIP of its family and that CLIP's vocabulary.
All parts write to runs/ and resume from their checkpoints when the command is run again. Failure policy: a part that fails
ends the recipe.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from training.presets import METHODS, SMOLLM2, settings

CLIP_TRAINING = {  # the command that trains the CLIP of a preset
    "runs/clip-looks/export": "training.clip.looks",
    "runs/clip-world/export": "training.clip.world.train",
    "runs/clip-pictures/export": "training.clip.pictures.train",
}


def parts(env: str, method: str, seed: int, device: str) -> list[list[str]]:
    """Returns the commands in order."""
    out = f"runs/{env.replace('/', '-')}-{method}-{seed}"
    clip, vocabulary = settings(env)["clip"], settings(env)["vocabulary"]
    train = [
        "training.ppo",
        "--env",
        env,
        "--method",
        method,
        "--seed",
        str(seed),
        "--out",
        out,
        "--device",
        device,
        "--resume",
    ]
    evaluate = ["training.evaluate", "--run", out, "--env", env, "--device", device, "--out", f"{out}/evaluation-drawn.json"]
    return [*_clip(clip.removeprefix("file:"), vocabulary), train, evaluate]


def _clip(export: str, vocabulary: str) -> list[list[str]]:
    """Returns the commands that create a small CLIP and its vocabulary; none if both exist."""
    if Path(export).exists() and Path(vocabulary).exists():
        return []
    build = ["agent.build_vocabulary.build", "--clip", f"file:{export}", "--language-model", SMOLLM2]
    folder = str(Path(export).parent)
    return [[CLIP_TRAINING[export], "--out", folder, "--resume"], [*build, "--out", vocabulary]]


def main() -> None:
    """Runs the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", required=True)
    parser.add_argument("--method", choices=METHODS, default="shelm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="torch device of PPO and the evaluation")
    options = parser.parse_args()
    for part in parts(options.env, options.method, options.seed, options.device):
        print("python -m", *part, flush=True)
        subprocess.run([sys.executable, "-m", *part], check=True)


if __name__ == "__main__":
    main()
