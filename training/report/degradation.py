"""The generated parts of docs/results/degradation.md and zero-shot.md: methods under perturbations, and without training.

Reads METHOD-SEED-ENVIRONMENT.json of training.robustness, made of runs. The area under a degradation curve is that of the
mean return over the levels of one kind of perturbation, from none to the strongest, evenly spaced; the highest return is 1.
Failure policy: a missing field ends the command.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from statistics import fmean
from typing import Any

from training.report import evaluations
from training.report.measures import holm, welch
from training.report.plots import NAMES
from training.report.tables import grid

LEVELS: dict[str, list[tuple[str, ...]]] = {
    "noise": [("noise 8",), ("noise 16",), ("noise 32",)],
    "JPEG": [("JPEG 95",), ("JPEG 75",), ("JPEG 50",)],
    "brightness": [("brightness 0.75", "brightness 1.25"), ("brightness 0.5", "brightness 1.5")],
    "occlusion": [("occlusion 5 %",), ("occlusion 15 %",), ("occlusion 30 %",)],
    "repeated frames": [("repeated 0.2",), ("repeated 0.5",), ("repeated 0.8",)],
}
VIEWS = {"both": "both views", "memory": "what the memory sees", "policy": "what the policy's convolutions see"}

Scores = dict[str, list[float]]  # of each seed, by method


def degradation(files: Mapping[str, str]) -> str:
    """Returns for each environment a table of areas for each view, and tests of SHELM against the others."""
    parts = list[str]()
    for env, runs in _by_environment(_runs(files)).items():
        starts = len(runs[0]["starts"])
        parts += [f"## {env}: {starts} starts", *_of_environment(runs)]
    return "\n\n".join(parts)


def _of_environment(runs: Sequence[dict[str, Any]]) -> list[str]:
    parts = list[str]()
    for view, title in VIEWS.items():
        areas = {kind: _areas(runs, kind, view) for kind in LEVELS}
        methods = [method for method in NAMES if any(method in found for found in areas.values())]
        rows = [[kind, *(_each(found.get(method, [])) for method in methods)] for kind, found in areas.items()]
        if methods:
            head = ["perturbation", *(NAMES[method] for method in methods)]
            parts += [f"### Area under the curve: {title} perturbed", grid(head, rows)]
    if tests := _tests({kind: _areas(runs, kind, "both") for kind in LEVELS}):
        head = ["perturbation", "SHELM against", "runs", "difference of means", "p", "p, Holm"]
        parts += ["### Tests, both views perturbed", grid(head, tests)]
    return parts


def zero_shot(files: Mapping[str, str]) -> str:
    """Returns the shares of starts that were solved, by environment and change of colours, and the table of evaluations."""
    rows = []
    evaluated, played = evaluations.apart(files)
    by_env = _by_environment(_runs(played))
    methods = [method for method in NAMES if any(run["method"] == method for runs in by_env.values() for run in runs)]
    for env, runs in by_env.items():
        names = list(dict.fromkeys(cell["perturbation"] for run in runs for cell in run["cells"] if cell["view"] == "both"))
        for name in names:
            found = _scores(runs, lambda cells, name=name: cells["both", name]["solved"])
            starts = str(len(runs[0]["starts"]))
            rows.append([env, starts, name, *(_each(found.get(method, [])) for method in methods)])
    parts = [grid(["environment", "starts", "colours", *(NAMES[method] for method in methods)], rows)] if rows else []
    if evaluated:
        parts += ["## Other textures, light and camera", evaluations.table(evaluated)]
    return "\n\n".join(parts)


def _runs(files: Mapping[str, str]) -> list[dict[str, Any]]:
    found = [json.loads(text) for text in files.values()]
    return sorted(found, key=lambda run: run["run_seed"])


def _by_environment(runs: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Returns runs by environment, that with the fewest starts first."""
    found = defaultdict(list)
    for run in runs:
        found[run["env"]].append(run)
    return dict(sorted(found.items(), key=lambda one: len(one[1][0]["starts"])))


def _scores(runs: Sequence[dict[str, Any]], score: Any) -> Scores:
    """Returns what `score` gives for the cells of each run, by method; runs that lack a cell are left out."""
    found: Scores = defaultdict(list)
    for run in runs:
        cells = {(cell["view"], cell["perturbation"]): cell for cell in run["cells"]}
        with suppress(KeyError):
            value = score(cells)
            found[run["method"]].append(value)
    return dict(found)


def _areas(runs: Sequence[dict[str, Any]], kind: str, view: str) -> Scores:
    def area(cells: Any) -> float:
        clean = next(cell for (_, name), cell in cells.items() if name == "clean")
        levels = [fmean(cells[view, name]["mean_return"] for name in names) for names in LEVELS[kind]]
        curve = [clean["mean_return"], *levels]
        return fmean((low + high) / 2 for low, high in pairwise(curve))

    return _scores(runs, area)


def _tests(areas: Mapping[str, Scores]) -> list[list[str]]:
    """Returns rows of Welch's tests, corrected over all of them."""
    rows, values = list[list[str]](), list[float]()
    for kind, found in areas.items():
        own = found.get("shelm", [])
        for method in (one for one in NAMES if one in found and one != "shelm"):
            other = found[method]
            if test := welch(own, other):
                rows.append([kind, NAMES[method], f"{len(own)}, {len(other)}", f"{test.difference:z.3f}", f"{test.p:.2g}"])
                values.append(test.p)
    return [[*row, f"{value:.2g}"] for row, value in zip(rows, holm(values), strict=True)] if rows else []


def _each(values: Sequence[float]) -> str:
    """Returns the mean and, in brackets, each seed's value."""
    return f"{fmean(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})" if values else "-"
