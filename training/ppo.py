"""Trains an agent with PPO on the services' engines: `python -m training.ppo --env ID --method METHOD --out runs/NAME`.

Methods: `shelm` remembers words; `helm` and `helmv2` are its predecessors (training.helm); `lstm` is PPO with an LSTM; `cnn`
is the same agent without memory. All get the same frames, tasks, seeds and budget; PPO itself is stable-baselines3's
(sb3-contrib's for the LSTM). Settings come from training.presets.

The folder `--out` receives `run.json` (all settings) and the files of training.run_log; `--resume` continues from its
checkpoint. `tensorboard --logdir runs` shows live curves. Failure policy: an invalid setting is an error before training
starts; an interrupted run loses at most the steps since its checkpoint.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from agent.bundle import PolicyPart
from training.actions import action_space_of
from training.engines import load_memory
from training.environments import vector_environment
from training.imitation import ExpertRecord, ImitationPPO
from training.memory import Memory
from training.memory_env import MemoryVecEnv
from training.policy import LinearEntropySchedule, MemoryStatistics, ServedPolicy
from training.presets import METHODS, settings
from training.recurrent import POLICY, SequencePolicy
from training.rollouts import DistinctRolloutBuffer
from training.run_log import RunLog, commit

MINIBATCHES = 8
STANDARDISED_ROLLOUTS = 20  # rollouts whose memory vectors give the statistics for standardisation


def parse_arguments(arguments: list[str] | None = None) -> dict[str, Any]:
    """Parses the command line; options not given are taken from the environment's preset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, argument_default=argparse.SUPPRESS
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--env", required=True, help="environment id; its preset gives the default settings")
    parser.add_argument("--method", choices=METHODS, default="shelm")
    parser.add_argument(
        "--task",
        action="append",
        metavar="ENV:NUM_ENVS",
        help="environment and number of parallel instances, instead of the preset's",
    )
    for name in ("clip", "vocabulary", "language-model"):
        parser.add_argument(f"--{name}")
    for name in ("layers", "window", "k", "steps", "rollout", "imitation"):
        parser.add_argument(f"--{name}", type=int)
    for name in ("learning-rate", "entropy", "entropy-end", "gamma", "gae-lambda", "beta"):
        parser.add_argument(f"--{name}", type=float)
    parser.add_argument("--normalise-reward", action=argparse.BooleanOptionalAction)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint-every", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="torch device of policy, CLIP and language model")
    parser.add_argument("--dtype", default="auto", help="of SHELM's frozen models, as SHELM_DTYPE where it is served")
    parser.add_argument("--resume", action="store_true", default=False)
    given = vars(parser.parse_args(arguments))
    return {**settings(given["env"]), **given}


def make_environment(run: dict[str, Any]) -> tuple[VecEnv, Memory]:
    """Returns the tasks with the memory of the method as a wrapper; the LSTM has its own memory and only receives frames."""
    tasks = [(name, int(num_envs)) for name, _, num_envs in (task.rpartition(":") for task in run["task"])]
    environment = vector_environment(tasks, seed=run["seed"])
    shape = environment.observation_space.shape
    assert shape is not None
    run["frame"] = list(shape[1:])
    run["actions"] = action_space_of(environment.action_space).model_dump(mode="json", by_alias=True, exclude_none=True)
    memory = load_memory(run, num_envs=environment.num_envs, pixels=shape[1] * shape[2], device=run["device"])
    if run["imitation"]:
        environment = ExpertRecord(environment, seed=run["seed"])
    if run["method"] != "lstm":
        environment = MemoryVecEnv(environment, memory)
    if run["normalise_reward"]:
        environment = VecNormalize(environment, norm_obs=False, clip_reward=1.0, gamma=run["gamma"])
    return environment, memory


def make_algorithm(run: dict[str, Any], environment: VecEnv) -> OnPolicyAlgorithm:
    """Returns PPO with the settings of the run."""
    initial = run["learning_rate"]
    common: dict[str, Any] = {
        "learning_rate": _falling(initial),
        "n_steps": run["rollout"],
        "batch_size": run["rollout"] * environment.num_envs // MINIBATCHES,
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
    if run["method"] == "lstm":
        return RecurrentPPO(SequencePolicy, environment, policy_kwargs={**POLICY, **optimiser}, **common)
    shape = PolicyPart(weights="policy.safetensors", channels=(32, 64), features=256)
    run["policy"] = shape.model_dump()
    common["rollout_buffer_class"] = DistinctRolloutBuffer
    common["policy_kwargs"] = {"shape": shape, "output_gain": 0.01, **optimiser}
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
    out: Path = run["out"]
    out.mkdir(parents=True, exist_ok=True)
    environment, memory = make_environment(run)
    model = make_algorithm(run, environment)
    _record(run, out)
    remembers = run["method"] in ("shelm", "helm", "helmv2")
    statistics = MemoryStatistics(rollouts=STANDARDISED_ROLLOUTS if remembers else 0)
    log = RunLog(out, steps=run["steps"], every=run["checkpoint_every"], memory=memory, statistics=statistics)
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
