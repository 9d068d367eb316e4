"""The generated part of docs/results/interpretability.md: what predicts an agent's actions, and what edited words change.

Reads the files of training.predict, and evaluations. Failure policy: a missing field ends the command.
"""

import json
from collections.abc import Mapping
from typing import Any

from training.report import evaluations
from training.report.tables import between, grid


def generated(files: Mapping[str, str]) -> str:
    """Returns the tables. files: texts by name."""
    edited, others = evaluations.apart(files)
    found, parts = [json.loads(text) for text in others.values()], list[str]()
    if found:
        inputs = [row["input"] for row in found[0]["rows"]]
        parts += [
            "## What predicts the action",
            grid(["agent", "environment", "starts", "steps", *inputs], map(_cells, found)),
        ]
    if edited:
        parts += ["## What edited words change", evaluations.table(edited)]
    return "\n\n".join(parts)


def _cells(one: dict[str, Any]) -> list[str]:
    accuracies = (between(row["accuracy"], *row["interval"]) for row in one["rows"])
    return [one["agent"], one["env"], str(one["starts"]), str(one["steps"]), *accuracies]
