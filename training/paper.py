"""The profile `paper`: the authors' settings for each of their tasks and methods (docs/paper-agent.md#settings).

Contract: `paper(env, method)` returns every setting that differs from `training.presets.DEFAULTS`; the table is that of the
authors' configurations, cell for cell. What of it is ours on purpose is in docs/paper-agent.md. Failure policy: an
environment or a method that the authors have no configuration for is a ValueError that names those that they have.
"""

from typing import Any

# Of every task.
COMMON: dict[str, Any] = {
    "clip": "file:runs/vit-b-16/export",
    "vocabulary": "runs/vit-b-16/vocabulary.safetensors",
    "language_model": "file:runs/transfo-xl-wt103",
    "tokens": 267_735,
    "layers": 18,
    "preprocessing": "reference",
    "num_envs": 16,
    "gamma": 0.99,
    "gae_lambda": 0.99,
    "falling": False,
    "normalise_reward": True,
    "bootstrap": False,
    "standardise": False,
    "channels": [64, 128],
    "kernels": "frame",
    "features": 1024,
    "actor_gain": 2**0.5,
    "clip_features": "plain",
    "imitation": 0,
}
# MiniGrid's, MiniWorld's and Psychlab's tasks under their gymnasium ids, with the steps that they are trained for.
TASKS = {
    "MiniGrid-DoorKey-5x5-v0": ("DoorKey5x5", 500_000),
    "MiniGrid-DoorKey-6x6-v0": ("DoorKey6x6", 500_000),
    "MiniGrid-Dynamic-Obstacles-Random-5x5-v0": ("DynamicObstacles", 500_000),
    "MiniGrid-KeyCorridorS3R1-v0": ("KeyCorridor", 500_000),
    "MiniGrid-MemoryS11-v0": ("Memory", 2_000_000),
    "MiniGrid-RedBlueDoors-6x6-v0": ("RedBlueDoors", 500_000),
    "MiniGrid-Unlock-v0": ("Unlock", 500_000),
    "MiniWorld-CollectHealth-v0": ("CollectHealth", 500_000),
    "MiniWorld-FourRooms-v0": ("FourRooms", 500_000),
    "MiniWorld-MazeS3Fast-v0": ("MazeS3Fast", 500_000),
    "MiniWorld-PickupObjects-v0": ("PickupObjs", 500_000),
    "MiniWorld-PutNext-v0": ("PutNext", 500_000),
    "MiniWorld-Sign-v0": ("Sign", 500_000),
    "MiniWorld-TMaze-v0": ("TMaze", 500_000),
    "MiniWorld-YMaze-v0": ("YMaze", 500_000),
    "shelm/ContinuousRecognition-v0": ("Psychlab", 10_000_000),
}
# learning rate / entropy / rollout / mem_len / k for SHELM, learning rate / entropy / rollout / mem_len for HELM and HELMv2,
# learning rate / entropy / rollout / sequences of a minibatch for LSTM-PPO, learning rate / entropy / rollout for CNN-PPO.
METHODS = ("shelm", "helm", "helmv2", "lstm", "cnn")
TABLE = """
DoorKey5x5 1e-4/.005/32/511/2 1e-4/.005/32/255 3e-4/.005/32/255 3e-4/.05/32/8 5e-5/.005/64
DoorKey6x6 5e-4/.01/128/511/2 3e-4/.01/128/255 3e-4/.01/128/255 5e-5/.01/64/16 1e-4/.001/64
DynamicObstacles 1e-4/.005/64/253/4 3e-4/.005/64/63 1e-4/.005/64/63 3e-4/.05/128/16 3e-4/.001/64
KeyCorridor 5e-5/.05/32/1021/4 3e-4/.05/32/255 5e-4/.05/32/255 5e-5/.05/64/8 1e-5/.005/64
Memory 5e-4/.005/128/15/1 1e-4/.005/128/15 3e-4/.005/128/15 5e-5/.001/128/4 5e-5/.01/256
RedBlueDoors 5e-4/.05/128/512/1 3e-4/.05/128/511 3e-4/.05/128/511 5e-5/.05/64/8 5e-5/.05/256
Unlock 5e-5/.01/64/511/2 3e-4/.01/64/255 1e-4/.01/64/255 5e-5/.01/128/16 5e-5/.01/64
CollectHealth 5e-5/.001/128/127/2 5e-5/.001/128/63 1e-4/.001/128/63 1e-4/.005/64/8 5e-4/.005/128
FourRooms 1e-4/.005/128/1021/4 5e-5/.005/128/255 5e-5/.005/128/255 5e-5/.01/128/4 5e-5/.01/128
MazeS3Fast 5e-5/.05/64/255/1 5e-5/.05/128/255 1e-4/.05/128/255 5e-5/.01/128/8 5e-5/.05/128
PickupObjs 5e-5/.001/64/2045/4 5e-5/.001/64/511 5e-5/.001/64/511 5e-5/.005/128/16 5e-5/.01/64
PutNext 3e-4/.01/32/256/1 5e-5/.01/32/255 5e-4/.01/32/255 3e-4/.05/64/4 5e-5/.005/128
Sign 1e-4/.01/64/63/2 5e-4/.01/64/31 5e-4/.01/64/31 3e-4/.01/32/8 1e-4/.01/64
TMaze 1e-4/.001/64/1021/4 1e-4/.001/64/255 1e-4/.001/64/255 5e-5/.01/128/4 1e-4/.01/64
YMaze 1e-4/.005/64/511/2 5e-5/.005/64/255 1e-4/.005/64/255 5e-5/.01/64/4 1e-4/.05/64
Psychlab 7e-4/.01/256/255/1 7e-4/.01/256/255 7e-4/.01/256/255 - -
"""
CELLS = {name: dict(zip(METHODS, cells, strict=True)) for name, *cells in (row.split() for row in TABLE.split("\n") if row)}


def paper(env_id: str, method: str) -> dict[str, Any]:
    """Returns the authors' settings of an environment and a method."""
    if env_id not in TASKS:
        raise ValueError(f"--profile paper: the authors trained in {', '.join(sorted(TASKS))}; got {env_id!r}")
    task, steps = TASKS[env_id]
    cell = CELLS[task][method]
    if cell == "-":
        raise ValueError(f"--profile paper: the authors have no configuration of {method!r} for {env_id}")
    rate, entropy, rollout, *rest = cell.split("/")
    num_envs = 64 if task == "Psychlab" else COMMON["num_envs"]
    found: dict[str, Any] = {
        **COMMON,
        "num_envs": num_envs,
        "task": [f"{env_id}:{num_envs}"],
        "steps": steps,
        "learning_rate": float(rate),
        "entropy": float(entropy),
        "entropy_end": 1e-4 if task == "RedBlueDoors" else None,
        "rollout": int(rollout),
    }
    if method == "lstm":
        found["batch"] = int(rest[0]) * int(rollout)
    elif rest:
        found["window"] = int(rest[0])
        found["k"] = int(rest[1]) if len(rest) > 1 else 1
    if method == "helmv2":
        found["clip"] = "file:runs/rn50/export"
    if task == "Psychlab":
        found["vocabulary"] = "runs/vit-b-16/vocabulary-psychlab.safetensors"
    return found
