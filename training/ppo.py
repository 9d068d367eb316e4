"""Trains the policy of an agent with stable-baselines3's PPO on the serving engines.

`python -m training.ppo --out runs/NAME --task ENV:ROWS [--task ENV:ROWS ...]` writes into the folder `--out`:
`run.json` (all settings), `log.jsonl` (one line per rollout), `checkpoint.pt` (everything needed to go on, every
`--checkpoint-every` steps) and, at each checkpoint, `policy.safetensors` (what is served). `--resume` goes on from
the checkpoint.

Method `shelm` remembers words; `cnn` is the same agent without memory (CNN-PPO, paper-facts section 9). Failure
policy: a bad setting stops before anything is trained; an interrupted run loses at most the steps since its
checkpoint.
"""

import argparse
import json
import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from tqdm import tqdm

from services.domain.bundle import PolicyPart
from services.domain.tensors import write_tensors
from training.clip.train import LANGUAGE_MODEL
from training.engines import AGENT, load_engines
from training.environments import vector_environment
from training.memory_env import MemoryVecEnv
from training.policy import MemoryStatistics, ServedPolicy


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", action="append", required=True, metavar="ENV:ROWS")
    parser.add_argument("--method", choices=["shelm", "cnn"], default="shelm")
    parser.add_argument("--clip", default="file:runs/clip-minigrid/export")
    parser.add_argument("--vocabulary", type=Path, default=Path("runs/clip-minigrid/vocabulary.safetensors"))
    parser.add_argument("--language-model", default=LANGUAGE_MODEL)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--window", type=int, default=32)
    parser.add_argument("--k", type=int, default=1, help="words per frame")
    parser.add_argument("--steps", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rollout", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--decay", action="store_true", help="let the learning rate fall linearly to 0")
    parser.add_argument("--entropy", type=float, default=0.01)
    parser.add_argument("--gae-lambda", type=float, default=0.95)
    parser.add_argument("--checkpoint-every", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args(arguments)


class NoMemoryVecEnv(VecEnvWrapper):
    """A vector environment whose memory vector is a constant zero: the agent without memory."""

    def __init__(self, venv: VecEnv) -> None:
        spaces = {"frame": venv.observation_space, "memory": gymnasium.spaces.Box(-1, 1, (1,), np.float32)}
        super().__init__(venv, gymnasium.spaces.Dict(spaces))

    def _observe(self, frames: Any) -> dict[str, Any]:
        return {"frame": frames, "memory": np.zeros((len(frames), 1), np.float32)}

    def reset(self) -> dict[str, Any]:
        """First observations."""
        return self._observe(self.venv.reset())

    def step_wait(self) -> Any:
        """As stable-baselines3 expects."""
        frames, rewards, dones, infos = self.venv.step_wait()
        for row in np.flatnonzero(dones):
            last = infos[row]["terminal_observation"]
            infos[row]["terminal_observation"] = {"frame": last, "memory": np.zeros(1, np.float32)}
        return self._observe(frames), rewards, dones, infos


def make_environment(options: argparse.Namespace) -> VecEnv:
    """The tasks, with the memory of the method around them."""
    tasks = [(name, int(rows)) for name, _, rows in (task.rpartition(":") for task in options.task)]
    environment = vector_environment(tasks, seed=options.seed)
    return NoMemoryVecEnv(environment) if options.method == "cnn" else _remembering(environment, options)


def _remembering(environment: VecEnv, options: argparse.Namespace) -> MemoryVecEnv:
    engines = load_engines(vars(options), rows=environment.num_envs)
    return MemoryVecEnv(
        environment, words=engines.words, slots=engines.slots, agent_digest=AGENT, dimension=engines.dimension
    )


class RunLog(BaseCallback):
    """Progress bar, log.jsonl, checkpoints."""

    def __init__(self, options: argparse.Namespace, statistics: MemoryStatistics) -> None:
        super().__init__()
        self._options, self._statistics = options, statistics
        self._recent: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=100))
        self._saved_at = 0
        self._started = time.time()
        self._bar = tqdm(total=options.steps, unit="step", smoothing=0.05, mininterval=5)

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self._recent[info["environment"]].append(info["episode"]["r"])
        return True

    def _on_rollout_end(self) -> None:
        returns = {name: round(float(np.mean(recent)), 4) for name, recent in self._recent.items()}
        row = {"steps": self.num_timesteps, "seconds": round(time.time() - self._started, 1), "returns": returns}
        with (self._options.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._bar.update(self.num_timesteps - self._bar.n)
        self._bar.set_postfix(returns)
        if self.num_timesteps - self._saved_at >= self._options.checkpoint_every:
            self.save()

    def save(self) -> None:
        """Writes the checkpoint and the served weights, each by one rename."""
        policy: Any = self.model.policy
        state = {
            "policy": policy.state_dict(),
            "optimizer": policy.optimizer.state_dict(),
            "steps": self.num_timesteps,
            "statistics": self._statistics.state_dict(),
        }
        folder = self._options.out
        torch.save(state, folder / "checkpoint.tmp")
        (folder / "checkpoint.tmp").replace(folder / "checkpoint.pt")
        write_tensors(folder / "policy.tmp", policy.served.state_dict())
        (folder / "policy.tmp").replace(folder / "policy.safetensors")
        self._saved_at = self.num_timesteps


def main(arguments: list[str] | None = None) -> None:
    """Trains."""
    options = parse_arguments(arguments)
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    shape = PolicyPart(weights="policy.safetensors", channels=(32, 64), features=256)
    environment = make_environment(options)
    model = PPO(
        ServedPolicy,
        environment,
        learning_rate=_schedule(options.learning_rate, linear=options.decay),
        n_steps=options.rollout,
        batch_size=options.rollout * environment.num_envs // 8,
        n_epochs=3,
        gamma=0.99,
        gae_lambda=options.gae_lambda,
        ent_coef=options.entropy,
        seed=options.seed,
        device="cpu",
        policy_kwargs={
            "shape": shape,
            "output_gain": 0.01,
            "optimizer_class": torch.optim.AdamW,
            "optimizer_kwargs": {"weight_decay": 0.01, "eps": 1e-8},
        },
    )
    statistics = MemoryStatistics(rollouts=20 if options.method == "shelm" else 0)
    log = RunLog(options, statistics)
    run = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    (options.out / "run.json").write_text(json.dumps({**run, "policy": shape.model_dump()}, indent=2))
    if options.resume and (options.out / "checkpoint.pt").exists():
        _resume(model, statistics, options.out / "checkpoint.pt")
    model.learn(options.steps - model.num_timesteps, callback=[statistics, log], reset_num_timesteps=False)
    log.save()


def _schedule(initial: float, *, linear: bool) -> Callable[[float], float]:
    """Learning rate by the fraction of training that is left."""
    return lambda left: initial * left if linear else initial


def _resume(model: PPO, statistics: MemoryStatistics, path: Path) -> None:
    state = torch.load(path, weights_only=True)
    model.policy.load_state_dict(state["policy"])
    model.policy.optimizer.load_state_dict(state["optimizer"])
    model.num_timesteps = state["steps"]
    statistics.load_state_dict(state["statistics"])


if __name__ == "__main__":
    main()
