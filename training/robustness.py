"""Measures how an agent bears perturbed frames, from every distinct start of an environment, or from as many seeds:
`python -m training.robustness --bundle models/NAME --env ID --out FILE`; `--run runs/NAME` for any method of training.ppo.

The perturbations are those of training.perturbations, and repeated frames: with probability p a step shows again what the
step before showed. Each is applied to what the memory sees, to what the policy's convolutions see, or to both; an LSTM and
an agent without memory have no view but `both`. Actions are greedy. Perturbations that draw are repeated `--draws` times
from each start. An episode that has not ended after `--most-steps` has the return that it has by then: 0, and so
not solved, where the reward comes at the end.

Contract: the perturbation of a step is a pure function of (seed, start, draw, step). Wilson intervals count starts, not
episodes, because episodes from one start are alike. FILE has command, commit, settings, and for each cell the returns by
start and draw; it is written after every cell, and a cell that it has already is not played again. `distinct` says whether
`starts` are distinct starts; without `--starts` they must be. Failure policy: an unknown perturbation or view ends the
command with the known ones, as does an environment whose starts cannot be listed without `--starts`.
"""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from shelm.gym.intervals import wilson
from tqdm import tqdm

from agent.bundle import load_bundle
from training.agents import LstmAgent, MemoryAgent, load_agent, load_bundle_agent
from training.environments import single_environment
from training.evaluate import Episode
from training.perturbations import PERTURBATIONS, Frame
from training.quick import parse
from training.run_log import commit
from training.starts import starts_or_seeds

VIEWS = ("memory", "policy", "both")
REPEATED = {f"repeated {share}": share for share in (0.2, 0.5, 0.8)}
ONE_VIEW = ("lstm", "cnn")  # methods
NAMES = (*PERTURBATIONS, *REPEATED)
TwoViews = MemoryAgent | LstmAgent
DRAWN = ("noise", "occlusion", "shift", "repeated")  # the perturbations that draw


@dataclass
class Eye:
    """What one episode is shown: `look` perturbs each frame in turn."""

    name: str
    key: tuple[int, ...]
    step: int = 0
    shown: Frame | None = None

    def look(self, frame: Frame) -> Frame:
        """Returns the frame as it arrives."""
        rng = np.random.default_rng((*self.key, self.step))
        self.step += 1
        if self.name in PERTURBATIONS:
            return PERTURBATIONS[self.name](frame, rng)
        if self.shown is None or rng.random() >= REPEATED[self.name]:
            self.shown = frame
        return self.shown


@torch.inference_mode()
def play(agent: TwoViews, episodes: list[Episode], eyes: list[Eye], *, view: str, most_steps: int) -> None:
    """Plays the episodes in parallel until all have ended or have `most_steps`."""
    for episode in episodes:
        agent.begin(episode.row)
    for _ in range(most_steps):
        running = [(episode, eye) for episode, eye in zip(episodes, eyes, strict=True) if not episode.done]
        if not running:
            return
        clean = np.stack([episode.frame for episode, _ in running])
        perturbed = np.stack([eye.look(episode.frame) for episode, eye in running])
        places = [(episode.row, episode.seed, episode.steps) for episode, _ in running]
        remembered, seen = (clean if view == other else perturbed for other in ("policy", "memory"))
        actions = agent.act_on(remembered, seen, places, deterministic=True)
        for (episode, _), action in zip(running, actions, strict=True):
            episode.step(action)


def cell(
    agent: TwoViews, environments: Sequence[Any], starts: list[int], *, name: str, view: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Plays one perturbation of one view from all starts; returns its part of the output file."""
    draws = options.draws if name.startswith(DRAWN) else 1
    places = [(start, draw) for start in starts for draw in range(draws)]
    episodes = [Episode(environments[row], seed=start, row=row) for row, (start, _) in enumerate(places)]
    eyes = [Eye(name, (options.seed, start, draw)) for start, draw in places]
    play(agent, episodes, eyes, view=view, most_steps=options.most_steps)
    returns = np.array([episode.total for episode in episodes]).reshape(len(starts), draws)
    lengths = np.array([episode.steps for episode in episodes]).reshape(len(starts), draws)
    return {"perturbation": name, "view": view} | summary(returns) | {"lengths": lengths.tolist()}


def summary(returns: NDArray[np.float64]) -> dict[str, Any]:
    """Returns mean return and share of solved episodes of returns (starts, draws), with the share's 95 % Wilson interval for
    as many observations as there are starts.
    """
    solved = float((returns > 0).mean())
    low, high = wilson(solved, len(returns))
    return {
        "mean_return": float(returns.mean()),
        "solved": solved,
        "interval": [low, high],
        "returns": returns.round(6).tolist(),
    }


def _write(out: Path, content: dict[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    partial.write_text(json.dumps(content) + "\n")
    os.replace(partial, out)


def _load(options: argparse.Namespace, rows: int) -> tuple[dict[str, Any], TwoViews, list[str]]:
    """Returns what the output file says of the agent, the agent for so many rows, and its views."""
    if options.bundle:
        bundle = load_bundle(options.bundle)
        return {"agent": bundle.name, "digest": bundle.digest}, load_bundle_agent(bundle, num_envs=rows), options.view
    run = json.loads((options.run / "run.json").read_text())
    about = {"agent": options.run.name, "method": run["method"], "run_seed": run["seed"], "run_commit": run["commit"]}
    return about, load_agent(run, options.run, num_envs=rows), ["both"] if run["method"] in ONE_VIEW else options.view


def measure(options: argparse.Namespace, command: list[str]) -> None:
    """Plays all cells that the file lacks."""
    starts, distinct = starts_or_seeds(options.env, options.starts)
    rows = len(starts) * options.draws
    about, agent, views = _load(options, rows)
    environments = [single_environment(options.env) for _ in range(rows)]
    settings = about | {"env": options.env, "starts": starts}
    settings |= {"seed": options.seed, "draws": options.draws, "most_steps": options.most_steps}
    made = {"command": shlex.join(command), "commit": commit()}
    content: dict[str, Any] = settings | {"distinct": distinct} | made | {"cells": []}
    if options.out.exists():
        before = json.loads(options.out.read_text())
        if any(before[key] != value for key, value in settings.items()):
            raise SystemExit(f"training.robustness: --out {options.out} has other settings")
        content["cells"] = before["cells"]
    done = {(one["perturbation"], one["view"]) for one in content["cells"]}
    wanted = [(name, view) for view in views for name in options.perturbation if view == views[0] or name != "clean"]
    for name, view in tqdm([place for place in wanted if place not in done], unit="cell"):
        content["cells"].append(cell(agent, environments, starts, name=name, view=view, options=options))
        _write(options.out, content)
        one = content["cells"][-1]
        tqdm.write(f"{view:7} {name:16} return {one['mean_return']:.3f}  solved {one['solved']:.3f} {one['interval']}")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    agent = parser.add_mutually_exclusive_group(required=True)
    agent.add_argument("--bundle", type=Path)
    agent.add_argument("--run", type=Path, help="folder of training.ppo, or of weights that training.study kept")
    parser.add_argument("--env", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--perturbation", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME")
    parser.add_argument("--view", nargs="+", choices=VIEWS, default=list(VIEWS))
    parser.add_argument("--draws", type=int, default=2, help="episodes from each start, of perturbations that draw")
    parser.add_argument("--starts", type=int, help="only the first of them; or so many seeds, where there is no list")
    parser.add_argument("--most-steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parse(parser, arguments, perturbation=["clean", "noise 16"], starts=2, draws=1, most_steps=30)
    torch.set_num_threads(1)
    try:
        measure(options, ["python", "-m", "training.robustness", *(sys.argv[1:] if arguments is None else arguments)])
    except ValueError as error:
        sys.exit(f"training.robustness: {error}")


if __name__ == "__main__":
    main()
