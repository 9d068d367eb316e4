"""The generated part of docs/results/robustness.md: agents and words under perturbations.

Reads AGENT-ENVIRONMENT.json (training.robustness; AGENT is one of AGENTS, before-S11.json for example), AGENT-words.json and
filters.json (training.clip.evaluate_perturbed), floor-AGENT.json (training.clip.floor) and draws-AGENT.json
(training.robustness with more draws); files that are missing leave their columns or tables out. Failure policy: a missing
field ends the command.
"""

import json
from collections.abc import Mapping
from typing import Any

from shelm.gym.intervals import clustered

from training.report import tables
from training.robustness import NAMES

POINTS = ("shelm/ContinuousRecognition-v0",)  # environments whose episodes are not solved or lost, but have points
AGENTS = {
    "before": "shipped before",
    "kept": "shipped, words and policy kept",
    "distilled": "its policy, CLIP taught by its own",
    "exchanged": "its policy, CLIP taught by captions",
    "trained": "policy trained with those words",
    "lasting": "the same, 0.8 M steps more with perturbations that last",
    "after": "minigrid-memory-robust",
}
VIEWS = {
    "memory": "What the memory sees is perturbed",
    "policy": "What the policy's convolutions see is perturbed",
    "both": "Both are",
}


def generated(files: Mapping[str, str]) -> str:
    """Returns the tables. files: texts by name."""
    found = {name.removesuffix(".json"): json.loads(text) for name, text in files.items()}
    parts = []
    places = [name.removeprefix("before-") for name in found if name.startswith("before-")]
    compared = [{agent: found[f"{agent}-{place}"] for agent in AGENTS if f"{agent}-{place}" in found} for place in places]
    for one in sorted(compared, key=len, reverse=True):
        parts += _environment(one)
    draws = [found[name] for name in sorted(found) if name.startswith("draws-")]
    if draws:
        parts += ["## Perturbations that are drawn more often", _draws(draws)]
    words = {agent: found[f"{agent}-words"] for agent in AGENTS if f"{agent}-words" in found}
    if words:
        parts += ["## Words of perturbed frames", _words(words)]
    if "filters" in found:
        parts += ["## Filters before retrieval, without training", _filters(found["filters"])]
    for name in sorted(one for one in found if one.startswith("floor-")):
        parts += _floor(found[name])
    return "\n\n".join(parts)


def _environment(measured: dict[str, dict[str, Any]]) -> list[str]:
    """Returns the tables of one environment by view. measured: by agent."""
    cells = {agent: {(cell["view"], cell["perturbation"]): cell for cell in one["cells"]} for agent, one in measured.items()}
    before = measured["before"]
    kind = "distinct starts" if before.get("distinct", True) else "seeds"
    names_of = AGENTS if "kept" in measured else AGENTS | {"before": "shipped"}
    points = before["env"] in POINTS
    parts = [f"## {before['agent']} in {before['env']}: {len(before['starts'])} {kind}"]
    for view, title in VIEWS.items():
        names = sorted((name for where, name in cells["before"] if where == view), key=NAMES.index)
        agents = [agent for agent in cells if any(where == view for where, _ in cells[agent])]
        if names:
            columns = ("points [95 %]",) if points else ("return", "solved")
            texts = _points if points else _pair
            head = ["perturbation", *(f"{what}: {names_of[agent]}" for agent in agents for what in columns)]
            rows = ([name, *(text for agent in agents for text in texts(cells[agent].get((view, name))))] for name in names)
            parts += [f"{title}:", tables.grid(head, rows)]
    return parts


def _draws(measured: list[dict[str, Any]]) -> str:
    rows = []
    for one in measured:
        about = [one["agent"], one["env"], str(len(one["starts"])), str(one["draws"])]
        rows += [[*about, cell["perturbation"], cell["view"], *_pair(cell)] for cell in one["cells"]]
    head = ["agent", "environment", "starts", "draws from each", "perturbation", "view", "return", "solved"]
    return tables.grid(head, rows)


def _pair(cell: dict[str, Any] | None) -> list[str]:
    if cell is None:
        return ["-", "-"]
    low, high = cell["interval"]
    return [f"{cell['mean_return']:.3f}", f"{cell['solved']:.3f} [{low:.2f}, {high:.2f}]"]


def _points(cell: dict[str, Any] | None) -> list[str]:
    if cell is None:
        return ["-"]
    pairs = [(value, start) for start, row in enumerate(cell["returns"]) for value in row]
    mean, _, interval = clustered(*zip(*pairs, strict=True))
    return [f"{mean:.1f}" + (f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else "")]


def _words(measured: dict[str, dict[str, Any]]) -> str:
    """Returns shares over all environments of a file, weighted by frames. Bundle 0 of each is the one of before."""
    most = max(measured.values(), key=lambda one: len(one["rows"]))
    columns = {f"{AGENTS['before']} ({_environments(most)})": (most, 0)}
    columns |= {f"{AGENTS[agent].split(', ')[-1]} ({_environments(one)})": (one, 1) for agent, one in measured.items()}
    names = list(dict.fromkeys(row["perturbation"] for row in most["rows"]))
    head = ["perturbation", *(f"{what}: {label}" for label in columns for what in ("right name", "clean word of before"))]
    lines = []
    for name in names:
        chosen = [
            [row for row in one["rows"] if (row["perturbation"], row["bundle"]) == (name, bundle)]
            for one, bundle in columns.values()
        ]
        lines.append([name, *(text for rows in chosen for text in _shares(rows))])
    return tables.grid(head, lines)


def _environments(measured: dict[str, Any]) -> str:
    names = list(dict.fromkeys(row["env"] for row in measured["rows"]))
    return names[0] if len(names) == 1 else f"{len(names)} environments"


def _shares(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:  # a perturbation that came later
        return ["-", "-"]
    pairs = (("right", "one_kind"), ("same", "frames"))
    return [_share(sum(row[key] * row[count] for row in rows) / sum(row[count] for row in rows)) for key, count in pairs]


def _filters(measured: dict[str, Any]) -> str:
    rows = {(row["perturbation"], row["filter"]): row for row in measured["rows"]}
    names, filters = (list(dict.fromkeys(pair[at] for pair in rows)) for at in (0, 1))
    return tables.grid(
        ["perturbation", *filters], ([name, *(_share(rows[name, one]["same"]) for one in filters)] for name in names)
    )


def _floor(measured: dict[str, Any]) -> list[str]:
    """Returns the heading and both tables: words on either side of the floors, and play."""
    shares = list(measured["floors"])
    lost = [f"lost below the floor of {100 * float(share):g} %: changed, kept" for share in shares]
    rows = []
    for row in measured["words"]:
        kinds = (row["changed"], row["frames"] - row["changed"])
        below = [", ".join(f"{n} of {of}" for n, of in zip(row["below"][share], kinds, strict=True)) for share in shares]
        separation = "-" if row["separation"] is None else f"{row['separation']:.2f}"
        rows.append([row["perturbation"], f"{row['mean']:.3f}", separation, *below])
    played = [measured["played"][way] for way in ("none", *shares)]
    ends = [[one[0]["perturbation"], *(f"{cell['solved']:.3f}" for cell in one)] for one in zip(*played, strict=True)]
    return [
        f"## A floor of similarity: {measured['agent']}, {measured['env']}",
        tables.grid(["perturbation", "mean similarity", "separation", *lost], rows),
        f"Solved from every start, with words below the floor made `{measured['neutral']}`:",
        tables.grid(["perturbation", "no floor", *(f"floor of {100 * float(share):g} %" for share in shares)], ends),
    ]


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"
