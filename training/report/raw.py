"""Reads the archived runs of training.study: run.json, log.jsonl, evaluation-*.json.

Contract: a run counts only if all its files exist; otherwise it is reported as not run. An evaluation is in the form of
shelm.gym.evaluation, with one agent, or, if older, has its figures and flags side by side. Failure policy: a file that
differs from the study's settings, or a number that is not finite, raises ValueError naming the run, the file and the field.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.archive import read
from training.study import FIRST_SEED, Run, archive_of, runs

Floats = NDArray[np.float64]
WINDOW = 100  # episodes in the mean of a curve; the first runs do not record their number


@dataclass(frozen=True)
class Result:
    """One finished run.

    curve_of: the environment of the learning curve: the run's own, or the only one that it was trained on. steps:
    environment steps at the logged lines at which that environment had ended an episode, shape (n,); after a resume, only
    from 100 further episodes on. curve: mean return of its last 100 training episodes at these steps, shape (n,). trained:
    total number of steps. seconds: duration of the training. returns: returns of the evaluation episodes by the name of the
    evaluation, shape (episodes,) each.
    """

    run: Run
    settings: dict[str, Any]
    curve_of: str
    steps: Floats
    curve: Floats
    trained: int
    seconds: float
    returns: dict[str, Floats]

    def score(self, kind: str) -> float:
        """Returns the mean return of an evaluation, which is aggregated over runs."""
        return float(self.returns[kind].mean())


def load(folder: Path, these: Callable[[], Iterator[Run]] = runs) -> tuple[list[Result], list[Run]]:
    """Returns the finished runs of a study in order, and those that are missing. folder: of the archives."""
    done: list[Result] = []
    missing: list[Run] = []
    archives = {archive: read(archive) for archive in {archive_of(run, folder) for run in these()}}
    for run in these():
        texts = archives[archive_of(run, folder)]
        files = {file: texts[f"{run.name}/{file}"] for file in run.files if f"{run.name}/{file}" in texts}
        if len(files) == len(run.files):
            done.append(_result(run, files))
        else:
            missing.append(run)
    return done, missing


def label(run: Run) -> str:
    """Returns what distinguishes runs on one environment other than the seed: the method, or the variant of the memory."""
    return run.name.rpartition("-")[0].rpartition("-")[2]


def environments(these: Sequence[Run]) -> list[str]:
    """Returns environment ids by family, within a family in the order of the study."""
    families = ("MiniGrid-", "MiniWorld-", "shelm/")
    names = dict.fromkeys(run.env for run in these)
    return sorted(names, key=lambda env: [env.startswith(family) for family in families], reverse=True)


def _result(run: Run, files: Mapping[str, str]) -> Result:
    settings = json.loads(files["run.json"])
    _expect(f"{run.name}/run.json", settings, {"env": run.env, "method": run.method, "seed": run.seed})
    if not settings.get("commit"):
        raise ValueError(f"{run.name}/run.json: commit: missing")
    lines = [json.loads(line) for line in files["log.jsonl"].splitlines()]
    if not lines:
        raise ValueError(f"{run.name}/log.jsonl: steps: no line")
    tasks = {task.rpartition(":")[0] for task in settings["task"]}
    curve_of = tasks.pop() if len(tasks) == 1 else run.env
    own = list(_counted(lines, curve_of))
    curve = np.array([line["returns"][curve_of] for line in own], np.float64)
    _finite(f"{run.name}/log.jsonl", curve)
    steps = np.array([line["steps"] for line in own], np.float64)
    returns = dict(_evaluations(run, files))
    trained, seconds = int(lines[-1]["steps"]), float(lines[-1]["seconds"])
    return Result(run, settings, curve_of, steps, curve, trained, seconds, returns)


def _counted(lines: list[dict[str, Any]], env: str) -> Iterator[dict[str, Any]]:
    """Returns the log lines of the environment, without means of few episodes that follow means of many."""
    full = False
    for line in lines:
        if env in line["returns"]:
            few = "episodes" in line and line["episodes"][env] < WINDOW
            full = full or not few
            if not (full and few):
                yield line


def _evaluations(run: Run, files: Mapping[str, str]) -> Iterator[tuple[str, Floats]]:
    for kind in run.evaluations():
        file = f"evaluation-{kind}.json"
        content = evaluation(files[file])
        asked = {"env": run.env, "method": run.method, "first_seed": FIRST_SEED}
        _expect(f"{run.name}/{file}", content, {**asked, "deterministic": kind == "greedy", "forget": kind == "forgetting"})
        returns = np.array(content["returns"], np.float64)
        _finite(f"{run.name}/{file}", returns)
        yield kind, returns


def evaluation(text: str) -> dict[str, Any]:
    """Returns an evaluation of one agent, in either form: env, method, deterministic, forget, first_seed, mean_return,
    standard_error, returns.
    """
    content: dict[str, Any] = json.loads(text)
    if "agents" not in content:
        return content
    (agent,) = content["agents"]
    played = {"first_seed": agent["rows"][0]["seed"], "returns": [row["return"] for row in agent["rows"]]}
    return {**content, "forget": content["edit"] == "emptied", **agent, **played}


def _expect(file: str, content: dict[str, Any], asked: dict[str, Any]) -> None:
    for field, value in asked.items():
        if content.get(field) != value:
            raise ValueError(f"{file}: {field}: the study asks for {value!r}, got {content.get(field)!r}")


def _finite(file: str, values: Floats) -> None:
    if not (values.size and np.isfinite(values).all()):
        raise ValueError(f"{file}: returns: expected one or more finite numbers")
