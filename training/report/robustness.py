"""The generated part of docs/results/robustness.md: an agent with its earlier and its robust CLIP under perturbations.

Reads before-*.json and after-*.json (training.robustness), words.json and filters.json (training.clip.evaluate_perturbed).
Failure policy: a missing file or field ends the command.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

VIEWS = {
    "memory": "What the memory sees is perturbed",
    "policy": "What the policy's convolutions see is perturbed",
    "both": "Both are",
}
Cells = dict[tuple[str, str], dict[str, Any]]  # by view and perturbation


def generated(files: Mapping[str, str]) -> str:
    """Returns the tables. files: texts by name."""
    found = {name: json.loads(text) for name, text in files.items()}
    parts = []
    for name in (one for one in found if one.startswith("before-")):
        parts += _environment(found[name], found[name.replace("before-", "after-")])
    parts += ["## Words: frames with one kind of object, and all frames", _words(found["words.json"])]
    parts += ["## Filters before retrieval, without training: MemoryS11's frames", _filters(found["filters.json"])]
    return "\n\n".join(parts)


def _cells(measured: dict[str, Any]) -> Cells:
    return {(cell["view"], cell["perturbation"]): cell for cell in measured["cells"]}


def _environment(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    first, second = _cells(before), _cells(after)
    head = ["perturbation", "return before", "solved before", "return after", "solved after"]
    parts = [f"## {before['env']}: {len(before['starts'])} distinct starts"]
    for view, title in VIEWS.items():
        names = [name for where, name in first if where == view]
        if names:
            rows = [[name, *_pair(first[view, name]), *_pair(second[view, name])] for name in names]
            parts += [f"{title}:", _table(head, rows)]
    return parts


def _pair(cell: dict[str, Any]) -> list[str]:
    low, high = cell["interval"]
    return [f"{cell['mean_return']:.3f}", f"{cell['solved']:.3f} [{low:.2f}, {high:.2f}]"]


def _words(measured: dict[str, Any]) -> str:
    """Returns shares over all environments, weighted by frames."""
    rows = measured["rows"]
    names = list(dict.fromkeys(row["perturbation"] for row in rows))
    columns = [(key, count, bundle) for key, count in (("right", "one_kind"), ("same", "frames")) for bundle in (0, 1)]
    head = [
        "perturbation",
        *(f"{what}, {when}" for what in ("right name", "as before, clean") for when in ("before", "after")),
    ]
    lines = []
    for name in names:
        chosen = [[row for row in rows if row["perturbation"] == name and row["bundle"] == bundle] for bundle in (0, 1)]
        lines.append([name, *(_share(_weighted(chosen[bundle], key, count)) for key, count, bundle in columns)])
    return _table(head, lines)


def _weighted(rows: list[dict[str, Any]], key: str, count: str) -> float:
    return float(sum(row[key] * row[count] for row in rows) / sum(row[count] for row in rows))


def _filters(measured: dict[str, Any]) -> str:
    rows = {(row["perturbation"], row["filter"]): row for row in measured["rows"]}
    names, filters = (list(dict.fromkeys(pair[at] for pair in rows)) for at in (0, 1))
    return _table(
        ["perturbation", *(f"as before, clean: {one}" for one in filters)],
        ([name, *(_share(rows[name, one]["same"]) for one in filters)] for name in names),
    )


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])
