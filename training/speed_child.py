"""Measures one PPO training; started by training.speed with the path of another checkout too, so it is one file on its own.

It uses only what every commit since a6526b1 has: `training.ppo` and stable-baselines3. Prints one JSON line: seconds and CPU
seconds of the measured rollouts, and the CPU seconds of each stage without those of the stages inside it. Failure policy: an
error ends the process.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

WARM_UP = 2  # rollouts that are not measured: CLIP meets most of its frames in them


class Stages:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner: list[float] = []

    def measure(self, owner: Any, name: str, stage: str) -> None:
        """Replaces a method of `owner` by one that adds its time, without that of measured methods inside it, to `stage`."""
        setattr(owner, name, self._timed(getattr(owner, name), stage))

    def _timed(self, method: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            self._inner.append(0.0)
            try:
                return method(*args, **kwargs)
            finally:
                took = time.process_time() - began
                self.seconds[stage] = self.seconds.get(stage, 0.0) + took - self._inner.pop()
                if self._inner:
                    self._inner[-1] += took

        return timed


def train(arguments: list[str], rollouts: int) -> dict[str, Any]:
    """Trains with the arguments of training.ppo for `rollouts` rollouts after the warm-up; returns what is printed."""
    from training import ppo  # of the checkout that is measured

    run = ppo.parse_arguments(arguments)
    torch.set_num_threads(run["threads"])
    environment, memory = ppo.make_environment(run)
    model: Any = ppo.make_algorithm(run, environment)
    stages = Stages()
    _measure(stages, model, environment, memory)
    steps = run["rollout"] * environment.num_envs
    model.learn(WARM_UP * steps, reset_num_timesteps=False)
    stages.seconds.clear()
    began, cpu = time.perf_counter(), time.process_time()
    model.learn(rollouts * steps, reset_num_timesteps=False)
    took = {"steps": rollouts * steps, "seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
    return {**took, "stages": stages.seconds, "checkout": str(Path(ppo.__file__).parents[1])}


def _measure(stages: Stages, model: Any, environment: Any, memory: Any) -> None:
    stages.measure(environment.venv, "step_wait", "env")
    if hasattr(memory, "_words"):
        stages.measure(memory, "_words", "retrieval")
    stages.measure(memory, "remember", "memory")
    stages.measure(model.policy, "forward", "policy")
    stages.measure(model.policy, "predict_values", "policy")
    stages.measure(model, "train", "update")
    stages.measure(model, "learn", "other")


if __name__ == "__main__":
    with TemporaryDirectory() as out:
        print(json.dumps(train(["--out", out, *sys.argv[2:]], int(sys.argv[1]))))
