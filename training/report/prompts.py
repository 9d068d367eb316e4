"""The generated part of docs/results/prompts.md: words and returns under other prompts than those of the vocabulary.

Reads the files of training.clip.prompts. Failure policy: a missing field ends the command.
"""

import json
from collections.abc import Mapping
from typing import Any

from training.clip.prompts import mcnemar
from training.report.measures import holm
from training.report.tables import grid

HEAD = ("environment", "prompts", "frames", "another word", "frames of one kind", "named rightly", "lost", "won", "p, Holm")


def generated(files: Mapping[str, str]) -> str:
    """Returns a table of words and one of returns for each agent. files: texts by name."""
    parts = []
    for one in (json.loads(text) for text in files.values()):
        corrected = holm([mcnemar(row["lost"], row["won"]) for row in one["words"]])
        rows = [_words(row, p) for row, p in zip(one["words"], corrected, strict=True)]
        agent = f"{one['agent']} ({one['digest'][:8]})"
        parts += [f"## {agent}: words", grid(HEAD, rows)]
        if one["played"]:
            head = ["environment", "starts", "prompts", "mean return", "solved, 95 % interval"]
            parts += [f"## {agent}: played greedily from every start", grid(head, map(_played, one["played"]))]
    return "\n\n".join(parts)


def _words(row: dict[str, Any], p: float) -> list[str]:
    changed = f"{row['changed']} ({100 * row['changed'] / row['frames']:.1f} %)"
    counts = map(str, (row["one_kind"], row["right"], row["lost"], row["won"]))
    return [row["env"], f"`{row['prompts']}`", str(row["frames"]), changed, *counts, f"{p:.2g}"]


def _played(row: dict[str, Any]) -> list[str]:
    low, high = row["interval"]
    solved = f"{row['solved']:.3f} [{low:.2f}, {high:.2f}]"
    return [row["env"], str(row["starts"]), f"`{row['prompts']}`", f"{row['mean_return']:.3f}", solved]
