"""The generated part of docs/results/word-edits.md: how episodes end while words in memory are edited.

Reads the files of training.word_edits. Failure policy: a missing field ends the command.
"""

import json
from collections.abc import Mapping

from training.report.tables import between, grid
from training.word_edits import ENDS

HEAD = ("edit", "when", *ENDS, "share right, 95 % interval")


def generated(files: Mapping[str, str]) -> str:
    """Returns a table for each environment, those with the fewest starts first. files: texts by name."""
    found = sorted((json.loads(text) for text in files.values()), key=lambda one: len(one["starts"]))
    parts = []
    for one in found:
        rows = [
            [
                cell["edit"],
                cell["way"],
                *(str(cell[end]) for end in ENDS),
                between(cell["right"] / len(one["starts"]), *cell["interval"]),
            ]
            for cell in one["cells"]
        ]
        parts += [f"## {one['env']}: {len(one['starts'])} distinct starts", grid(HEAD, rows)]
    return "\n\n".join(parts)
