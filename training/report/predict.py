"""The generated part of docs/results/interpretability.md: what predicts an agent's actions.

Reads the files of training.predict. Failure policy: a missing field ends the command.
"""

import json
from collections.abc import Mapping
from typing import Any

from training.report.tables import grid


def generated(files: Mapping[str, str]) -> str:
    """Returns the table. files: texts by name."""
    found = [json.loads(text) for text in files.values()]
    if not found:
        return ""
    inputs = [row["input"] for row in found[0]["rows"]]
    return grid(["agent", "environment", "starts", "steps", *inputs], map(_cells, found))


def _cells(one: dict[str, Any]) -> list[str]:
    return [one["agent"], one["env"], str(one["starts"]), str(one["steps"]), *map(_accuracy, one["rows"])]


def _accuracy(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['accuracy']:.2f} [{low:.2f}, {high:.2f}]"
