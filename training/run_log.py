"""The output of a training run: progress bar, log.jsonl, TensorBoard curves, checkpoints.

`log.jsonl` has one line per rollout: steps, seconds of training so far, the mean return of the last 100 episodes of each
environment, and the number of episodes in that mean. `checkpoint.pt` contains everything needed to resume;
`policy.safetensors` (and, if a memory learned statistics, `memory.safetensors`) the weights for evaluation and serving.
Files are replaced by one rename, so a killed run leaves complete files.
"""

import json
import subprocess
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize
from tqdm import tqdm

from agent.safetensors_file import write_tensors
from training.memory import Memory
from training.policy import MemoryStatistics, ServedPolicy
from training.recurrent import own_tensors

RECENT = 100  # episodes


def commit() -> str:
    """Returns the git commit that is checked out, or "" outside a repository."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()


class RunLog(BaseCallback):
    """Logs every rollout and saves a checkpoint every `every` steps, and after `seconds` if that is earlier."""

    def __init__(
        self, folder: Path, *, steps: int, every: int, seconds: float, memory: Memory, statistics: MemoryStatistics
    ) -> None:
        super().__init__()
        self._folder, self._every, self._seconds = folder, every, seconds
        self._memory, self._statistics = memory, statistics
        self._recent: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=RECENT))
        self._saved_at, self._before, self._started = 0, 0.0, time.monotonic()
        self._saved_time = self._started
        self._bar = tqdm(total=steps, unit="step", smoothing=0.05, mininterval=5)

    def resume(self) -> None:
        """Continues from the folder's checkpoint; drops later log lines, because their steps are repeated."""
        model: Any = self.model
        state = torch.load(self._folder / "checkpoint.pt", weights_only=True, map_location=model.device)
        model.policy.load_state_dict(state["policy"])
        model.policy.optimizer.load_state_dict(state["optimizer"])
        model.num_timesteps = self._saved_at = state["steps"]
        self._statistics.load_state_dict(state["statistics"])
        self._memory.load_state_dict(state["memory"])
        if rewards := self._rewards():
            rewards.mean, rewards.var, rewards.count = state["rewards"]
        lines = [json.loads(line) for line in (self._folder / "log.jsonl").read_text().splitlines()]
        kept = [line for line in lines if line["steps"] <= state["steps"]]
        self._before = kept[-1]["seconds"]
        (self._folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))

    def save(self) -> None:
        """Writes the checkpoint and the weights."""
        policy: Any = self.model.policy
        rewards = self._rewards()
        state = {
            "policy": policy.state_dict(),
            "optimizer": policy.optimizer.state_dict(),
            "steps": self.num_timesteps,
            "statistics": self._statistics.state_dict(),
            "memory": self._memory.state_dict(),
            "rewards": [float(rewards.mean), float(rewards.var), float(rewards.count)] if rewards else None,
        }
        torch.save(state, self._folder / "checkpoint.tmp")
        (self._folder / "checkpoint.tmp").replace(self._folder / "checkpoint.pt")
        self._write("policy", policy.served.state_dict() if isinstance(policy, ServedPolicy) else own_tensors(policy))
        if state["memory"]:
            self._write("memory", self._memory.state_dict())
        self._saved_at, self._saved_time = self.num_timesteps, time.monotonic()

    def _write(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        write_tensors(self._folder / f"{name}.tmp", {key: value.cpu().contiguous() for key, value in tensors.items()})
        (self._folder / f"{name}.tmp").replace(self._folder / f"{name}.safetensors")

    def _rewards(self) -> Any:
        """Returns the running statistics of returns that scale the rewards, if they are used."""
        environment = self.model.get_env()
        return environment.ret_rms if isinstance(environment, VecNormalize) else None

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self._recent[info["environment"]].append(info["episode"]["r"])
        return True

    def _on_rollout_end(self) -> None:
        returns = {name: round(float(np.mean(recent)), 4) for name, recent in sorted(self._recent.items())}
        seconds = round(self._before + time.monotonic() - self._started, 1)
        episodes = {name: len(recent) for name, recent in sorted(self._recent.items())}
        row = {"steps": self.num_timesteps, "seconds": seconds, "returns": returns, "episodes": episodes}
        with (self._folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in returns.items():
            self.logger.record(f"return/{name}", value)
        self._bar.update(self.num_timesteps - self._bar.n)
        self._bar.set_postfix(returns)
        late = time.monotonic() - self._saved_time >= self._seconds
        if late or self.num_timesteps - self._saved_at >= self._every:
            self.save()
