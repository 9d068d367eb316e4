"""Measures the speed of PPO on MemoryS11: `python -m training.speed --json FILE [--against DIR]`.

Reports environment steps per second and the share of each stage: `env` (stepping and rendering), `retrieval` (frames to
words), `memory` (language model), `policy` (the actor-critic in rollouts), `update` (PPO's epochs) and `other`. Every round
trains in a fresh process (training/speed_child.py) with the settings of `make train`; its first rollouts do not count.

`--against DIR` also measures another checkout, for example one made with `git worktree add DIR COMMIT`, in turn with this
one, and reports the ratio. Steps per CPU second are reported too, because on a shared machine they vary less.

Failure policy: a training that fails ends the command with its output.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import stable_baselines3
import torch
from tqdm import tqdm

from training.run_log import commit

ENVIRONMENT = "MiniGrid-MemoryS11-v0"
HERE = Path(__file__).parents[1]
ROLLOUT = 2048  # steps, of 32 environments
ROUNDS, STEPS = 5, 10 * ROLLOUT
QUICK_ROUNDS, QUICK_STEPS = 1, ROLLOUT


def measure(checkout: Path, rollouts: int, arguments: list[str]) -> dict[str, Any]:
    """Trains once with the code of a checkout; returns the line of training/speed_child.py."""
    path = os.pathsep.join(map(str, (checkout, checkout / "clients/python/src")))
    command = [sys.executable, str(HERE / "training/speed_child.py"), str(rollouts), *arguments]
    done = subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"training in {checkout} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if Path(result.pop("checkout")).resolve() != checkout.resolve():
        sys.exit(f"{checkout}: another checkout was imported; is `training` installed in this environment?")
    return result


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns medians and spread of the rounds of one checkout, and the stages' shares of the CPU seconds."""
    speeds = [one["steps"] / one["seconds"] for one in rounds]
    cpu = [one["steps"] / one["cpu_seconds"] for one in rounds]
    shares = [{name: value / one["cpu_seconds"] for name, value in one["stages"].items()} for one in rounds]
    return {
        "steps_per_second": _spread(speeds),
        "steps_per_cpu_second": _spread(cpu),
        "shares": {name: round(statistics.median(one[name] for one in shares), 3) for name in shares[0]},
    }


def _spread(values: list[float]) -> dict[str, float]:
    whole = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 1) for name, value in whole.items()}


def ratios(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, float]:
    """Returns the medians over rounds of our speed divided by theirs in the same round."""
    pairs = list(zip(ours, theirs, strict=True))
    return {
        kind: round(statistics.median(b[kind] / b["steps"] * a["steps"] / a[kind] for a, b in pairs), 2)
        for kind in ("seconds", "cpu_seconds")
    }


def machine() -> dict[str, Any]:
    """Returns what the figures depend on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "stable_baselines3": stable_baselines3.__version__,
        "commit": commit(),
    }


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="file for the result")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--steps", type=int, help=f"measured steps of a round, whole rollouts of {ROLLOUT}")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--device", default="cpu", help="torch device; another checkout must know training.ppo --device")
    parser.add_argument("--dtype", help="of the frozen models; of this checkout only; default: that of training.ppo")
    parser.add_argument("--threads", type=int, default=1, help="of this checkout; another one has its own default")
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout")
    options = parser.parse_args(arguments)
    steps = options.steps or (QUICK_STEPS if options.quick else STEPS)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    ppo = ["--env", ENVIRONMENT]
    ours = [*ppo, "--threads", str(options.threads)] + (["--dtype", options.dtype] if options.dtype else [])
    if options.device != "cpu":  # the default, which older checkouts do not know as an option
        ppo += ["--device", options.device]
        ours += ["--device", options.device]
    checkouts = {"this": HERE} | ({"against": options.against.resolve()} if options.against else {})
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
    order = [name for _ in range(rounds) for name in checkouts]
    for name in tqdm(order, unit="training"):
        results[name].append(measure(checkouts[name], max(1, steps // ROLLOUT), ours if name == "this" else ppo))
    result: dict[str, Any] = {"environment": ENVIRONMENT, "device": options.device}
    result |= {"threads": options.threads, "dtype": options.dtype}
    result |= {"machine": machine(), **{name: summary(of) for name, of in results.items()}, "rounds": results}
    if options.against:
        result["ratio"] = ratios(results["this"], results["against"])
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "rounds"}, indent=2))


if __name__ == "__main__":
    main()
