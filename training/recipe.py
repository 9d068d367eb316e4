"""`make train`: makes models/minigrid-memory again from nothing: small CLIP, vocabulary, policy, bundle.

Every part writes below runs/ and goes on from its checkpoint when it is run again. MemoryS7 and MemoryS11 are trained
side by side, because in S7 the habit of looking back is found soon and carries over. Failure policy: a part that fails ends
the recipe.
"""

import subprocess
import sys

from training.clip.train import LANGUAGE_MODEL

CLIP, RUN = "runs/clip-minigrid", "runs/minigrid-memory"
TASKS = ("MiniGrid-MemoryS7-v0", "MiniGrid-MemoryS11-v0")
STEPS = 1_024_000


def parts() -> list[list[str]]:
    """The commands, in order."""
    clip, vocabulary = f"file:{CLIP}/export", f"{CLIP}/vocabulary.safetensors"
    tasks = [word for task in TASKS for word in ("--task", f"{task}:8")]
    environments = [word for task in reversed(TASKS) for word in ("--environment", task)]
    about = "Finds the object that it saw at the start (MiniGrid-Memory)"
    inputs = ["--clip", clip, "--vocabulary", vocabulary]
    names = ["--out", "models/minigrid-memory", "--name", "minigrid-memory", "--description", about]
    return [
        ["training.clip.train", "--out", CLIP, "--resume"],
        ["services.retrieval.build_vocabulary", "--clip", clip, "--language-model", LANGUAGE_MODEL, "--out", vocabulary],
        ["training.ppo", "--out", RUN, *tasks, "--steps", str(STEPS), *inputs, "--resume"],
        ["training.bundle", "--run", RUN, *names, *environments],
    ]


def main() -> None:
    """Runs the parts."""
    for part in parts():
        print("python -m", *part, flush=True)
        subprocess.run([sys.executable, "-m", *part], check=True)


if __name__ == "__main__":
    main()
