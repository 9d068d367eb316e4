"""The generated part of docs/results/conflation.md: pairs of different things that get the same words.

Reads the files of training.clip.conflation. Failure policy: a missing field ends the command.
"""

import json
from collections.abc import Mapping
from typing import Any

from training.report.tables import grid

HEAD = ("CLIP of", "environment", "words a frame", "distinct frames", "different words", "other kinds, same words")
LAST = "other objects, same words"


def generated(files: Mapping[str, str]) -> str:
    """Returns the table. files: texts by name."""
    found = [json.loads(text) for text in files.values()]
    return grid([*HEAD, LAST], [_cells(one["agent"], row) for one in found for row in one["rows"]])


def _cells(agent: str, row: dict[str, Any]) -> list[str]:
    shares = (_share(row[f"{name}_same"], row[f"{name}_pairs"]) for name in ("kinds", "objects"))
    return [agent, row["env"], str(row["k"]), str(row["frames"]), str(row["different_words"]), *shares]


def _share(same: int, pairs: int) -> str:
    return f"{same} of {pairs} ({100 * same / pairs:.1f} %)" if pairs else "-"
