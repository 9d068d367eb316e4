"""Trains an agent with PPO on the services' engines: `python -m training.ppo --env ID --method METHOD --out runs/NAME`.

Methods: `shelm` remembers words; `helm` and `helmv2` are its predecessors (training.helm); `lstm` is PPO with an LSTM; `cnn`
is the same agent without memory. All get the same frames, tasks, seeds and budget; PPO itself is stable-baselines3's
(sb3-contrib's for the LSTM). Settings come from training.presets.

The folder `--out` receives `run.json` (all settings) and the files of training.run_log; it holds one run, which `--resume`
continues from its checkpoint (training.run_folder). `tensorboard --logdir runs` shows live curves. Failure policy: an
invalid setting is one line before training starts; an interrupted run loses at most the steps since its checkpoint.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from agent.bundle import PolicyPart
from training.actions import action_space_of
from training.clip.augment import STRENGTHS
from training.engines import load_memory
from training.environments import vector_environment
from training.imitation import ExpertRecord, ImitationPPO
from training.memory import Memory
from training.memory_env import MemoryVecEnv, TimeLimitsAreEnds
from training.perturbed_memory import PerturbedMemory
from training.policy import LinearEntropySchedule, MemoryStatistics, ServedPolicy
from training.presets import METHODS, PROFILES, settings
from training.recurrent import SMALL, SequencePolicy, policy_arguments
from training.rollouts import DistinctRolloutBuffer
from training.run_folder import CannotTrain, claim
from training.run_log import RunLog, commit

MINIBATCHES = 8
STANDARDISED_ROLLOUTS = 20  # rollouts whose memory vectors give the statistics for standardisation


def _number(kind: type, low: float, high: float, expected: str) -> Callable[[str], Any]:
    """Returns a validator for numbers from low to high."""

    def value(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not low <= number <= high:
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return number

    return value


_natural = _number(int, 0, 2**32 - 1, "a whole number, 0 or more")
_count = _number(int, 1, 2**53, "a whole number, 1 or more")
_positive = _number(float, 1e-12, 1e300, "a number above 0")
_share = _number(float, 0, 1, "a number from 0 to 1")
OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {  # those whose defaults are in training.presets
    "clip": (str, "source of CLIP's weights, such as file:FOLDER"),
    "vocabulary": (str, "file of the vocabulary"),
    "language-model": (str, "source of the language model"),
    "layers": (_count, "of the language model"),
    "window": (_number(int, 2, 2**31, "a whole number, 2 or more"), "words within reach of the attention"),
    "k": (_number(int, 1, 64, "a whole number from 1 to 64"), "words remembered per frame"),
    "steps": (_count, "environment steps in all"),
    "rollout": (_count, "steps of each environment between two updates"),
    "imitation": (_natural, "first steps in which the environment's expert is imitated"),
    "learning-rate": (_positive, "at the start; it falls to 0"),
    "entropy": (_number(float, 0, 1e300, "a number, 0 or more"), "entropy coefficient at the start"),
    "entropy-end": (_number(float, 0, 1e300, "a number, 0 or more"), "entropy coefficient at the end"),
    "gamma": (_share, "discount factor"),
    "gae-lambda": (_share, "of generalised advantage estimation"),
    "beta": (_positive, "inverse temperature of HELM's memory"),
    "batch": (_count, "steps of a minibatch"),
    "features": (_number(int, 1, 65_536, "a whole number from 1 to 65536"), "of the CNN"),
    "actor-gain": (_positive, "of the initial weights of the actor's last layer"),
    "projection": (_natural, "seed of the fixed random projection of HELM's and HELMv2's frames"),
}
CHOICES: dict[str, tuple[tuple[str, ...], str]] = {
    "preprocessing": (("model", "reference"), "of frames for CLIP"),
    "perturbed": (("none", *STRENGTHS), "frames as the memory sees them (training.clip.augment)"),
    "kernels": (("map", "frame"), "what decides the size of the CNN's second kernel"),
    "clip-features": (("normalised", "plain"), "HELMv2's image embeddings"),
    "lstm-cnn": (("small", "equal"), "the LSTM's CNN: the authors', or that of the other methods"),
}
SWITCHES = {
    "normalise-reward": "scale rewards",
    "falling": "let the learning rate fall to 0",
    "bootstrap": "take the value of what would follow where a time limit ends an episode",
    "standardise": "standardise the memory vector",
}


def _task(text: str) -> str:
    name, _, count = text.rpartition(":")
    if not name or not count.isdigit() or int(count) < 1:
        raise argparse.ArgumentTypeError(f"expected ENV:NUM_ENVS, got {text!r}")
    return text


def parse_arguments(arguments: list[str] | None = None) -> dict[str, Any]:
    """Parses the command line; options not given are taken from the environment's preset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, argument_default=argparse.SUPPRESS
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--env", required=True, help="environment id; its preset gives the default settings")
    parser.add_argument("--method", choices=METHODS, default="shelm", help="kind of memory (%(default)s)")
    parser.add_argument(
        "--task",
        action="append",
        type=_task,
        metavar="ENV:NUM_ENVS",
        help="environment and number of parallel instances, instead of the preset's",
    )
    parser.add_argument(
        "--profile", choices=PROFILES, default="mini", help="paper: the authors' settings (docs/paper-agent.md; %(default)s)"
    )
    for name, (kind, text) in OPTIONS.items():
        parser.add_argument(f"--{name}", type=kind, help=f"{text} (the preset's)")
    for name, (choices, text) in CHOICES.items():
        parser.add_argument(f"--{name}", choices=choices, help=f"{text} (the preset's)")
    for name, text in SWITCHES.items():
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, help=f"{text} (the preset's)")
    parser.add_argument("--channels", type=_count, nargs=2, metavar=("FIRST", "SECOND"), help="of the CNN (the preset's)")
    parser.add_argument("--seed", type=_natural, default=0, help="of everything random (%(default)s)")
    parser.add_argument("--checkpoint-every", type=_count, default=50_000, help="steps between checkpoints (%(default)s)")
    parser.add_argument(
        "--checkpoint-seconds",
        type=_positive,
        default=60.0,
        help="or seconds, if that is earlier (%(default)s)",
    )
    parser.add_argument("--threads", type=_count, default=1, help="of torch (%(default)s)")
    parser.add_argument("--device", default="cpu", help="torch device of policy, CLIP and language model (%(default)s)")
    parser.add_argument("--dtype", default="auto", help="of the frozen models, as SHELM_DTYPE (%(default)s)")
    parser.add_argument(
        "--resume", action="store_true", default=False, help="go on from the folder's checkpoint, or begin if there is none"
    )
    given = vars(parser.parse_args(arguments))
    try:
        return {**settings(given["env"], given["profile"], given["method"]), **given}
    except ValueError as error:
        parser.error(str(error))


def make_environment(run: dict[str, Any]) -> tuple[VecEnv, Memory]:
    """Returns the tasks with the memory of the method as a wrapper; the LSTM has its own memory and only receives frames."""
    tasks = [(name, int(num_envs)) for name, _, num_envs in (task.rpartition(":") for task in run["task"])]
    environment = vector_environment(tasks, seed=run["seed"])
    shape = environment.observation_space.shape
    assert shape is not None
    run["frame"] = list(shape[1:])
    run["actions"] = action_space_of(environment.action_space).model_dump(mode="json", by_alias=True, exclude_none=True)
    memory = load_memory(run, num_envs=environment.num_envs, pixels=shape[1] * shape[2], device=run["device"])
    if not run["bootstrap"]:
        environment = TimeLimitsAreEnds(environment)
    if run["imitation"]:
        environment = ExpertRecord(environment, seed=run["seed"])
    if run["method"] != "lstm":
        remembering: Memory = memory
        if run["perturbed"] != "none":
            remembering = PerturbedMemory(memory, strength=run["perturbed"], seed=run["seed"])
        environment = MemoryVecEnv(environment, remembering)
    if run["normalise_reward"]:
        environment = VecNormalize(environment, norm_obs=False, clip_reward=1.0, gamma=run["gamma"])
    return environment, memory


def make_algorithm(run: dict[str, Any], environment: VecEnv) -> OnPolicyAlgorithm:
    """Returns PPO with the settings of the run."""
    initial = run["learning_rate"]
    common: dict[str, Any] = {
        "learning_rate": _falling(initial) if run["falling"] else initial,
        "n_steps": run["rollout"],
        "batch_size": run["batch"] or run["rollout"] * environment.num_envs // MINIBATCHES,
        "n_epochs": 3,
        "gamma": run["gamma"],
        "gae_lambda": run["gae_lambda"],
        "ent_coef": run["entropy"],
        "seed": run["seed"],
        "device": run["device"],
        "tensorboard_log": str(run["out"] / "tensorboard"),
    }
    optimiser = {
        "optimizer_class": torch.optim.AdamW,
        "optimizer_kwargs": {"weight_decay": 0.01, "eps": 1e-8, "fused": True},
    }
    sizes = {"channels": run["channels"], "features": run["features"], "kernels": run["kernels"]}
    shape = PolicyPart(weights="policy.safetensors", **sizes)
    if run["method"] == "lstm" and run["lstm_cnn"] == "small":
        shape = SMALL
    run["policy"] = shape.model_dump()
    if run["method"] == "lstm":
        return RecurrentPPO(SequencePolicy, environment, policy_kwargs={**policy_arguments(shape), **optimiser}, **common)
    common["rollout_buffer_class"] = DistinctRolloutBuffer
    common["policy_kwargs"] = {"shape": shape, "output_gain": run["actor_gain"], **optimiser}
    if run["imitation"]:
        return ImitationPPO(ServedPolicy, environment, imitation=run["imitation"], **common)
    return PPO(ServedPolicy, environment, **common)


def _falling(initial: float) -> Callable[[float], float]:
    """Returns a learning rate that decreases linearly to 0 with the remaining fraction of the training."""
    return lambda left: initial * left


def main(arguments: list[str] | None = None) -> None:
    """Trains an agent."""
    run = parse_arguments(arguments)
    torch.set_num_threads(run["threads"])
    try:
        with claim(run["out"], run):
            train(run)
    except CannotTrain as error:
        sys.exit(f"training.ppo: {' '.join(str(error).split())}")


def train(run: dict[str, Any]) -> None:
    """Trains in the run's folder, from its checkpoint if it is resumed and there is one; CannotTrain if a setting is of no
    use.
    """
    out: Path = run["out"]
    try:
        environment, memory = make_environment(run)
        model = make_algorithm(run, environment)
    except (ValueError, OSError, ImportError, RuntimeError, AssertionError, gymnasium.error.Error) as error:  # of libraries
        raise CannotTrain(str(error)) from error
    _record(run, out)
    remembers = run["standardise"] and run["method"] in ("shelm", "helm", "helmv2")
    statistics = MemoryStatistics(rollouts=STANDARDISED_ROLLOUTS if remembers else 0)
    often = {"every": run["checkpoint_every"], "seconds": run["checkpoint_seconds"]}
    log = RunLog(out, steps=run["steps"], memory=memory, statistics=statistics, **often)
    log.model = model
    if run["resume"] and (out / "checkpoint.pt").exists():
        log.resume()
    model.learn(
        run["steps"] - model.num_timesteps,
        callback=[LinearEntropySchedule(run["entropy"], run["entropy_end"]), statistics, log],
        reset_num_timesteps=False,
    )
    log.save()


def _record(run: dict[str, Any], out: Path) -> None:
    """Writes run.json; a resumed run keeps the commit with which it began."""
    path = out / "run.json"
    began = json.loads(path.read_text()).get("commit") if run["resume"] and path.exists() else None
    path.write_text(json.dumps({**run, "out": str(out), "commit": began or commit()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
