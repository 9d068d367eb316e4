"""A table of files of training.evaluate, for the pages that show some beside measurements of another kind.

Failure policy: a missing field ends the command.
"""

import json
from collections.abc import Mapping
from typing import Any

from training.report.tables import between, grid

HEAD = ("agent", "environment", "actions", "words", "episodes", "return [95 %]", "solved [95 %]", "return below 0")
FOLDER = "evaluations/"  # of an archive


def apart(files: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the files of an archive that are evaluations, and the others."""
    evaluations = {name: text for name, text in files.items() if name.startswith(FOLDER)}
    return evaluations, {name: text for name, text in files.items() if name not in evaluations}


def table(files: Mapping[str, str]) -> str:
    """Returns a row for each agent of each file. files: texts by name."""
    return grid(HEAD, [_cells(found, one) for found in map(json.loads, files.values()) for one in found["agents"]])


def _cells(found: dict[str, Any], one: dict[str, Any]) -> list[str]:
    actions = "greedy" if found["deterministic"] else "sampled"
    words = "as they come" if found["edit"] == "none" else found["edit"]
    below = sum(row["return"] < 0 for row in one["rows"])
    figures = [between(one["mean_return"], *one["interval"]), between(one["solved"], *one["solved_interval"])]
    return [one["agent"], found["env"], actions, words, str(one["episodes"]), *figures, str(below)]
