"""The generated part of docs/results/conflation.md: pairs of different things that get the same words, and what k costs.

Reads the files of training.clip.conflation and the runs of training.study.words. Failure policy: that of
training.report.raw; a missing field of a file ends the command.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.archive import read
from training.report import tables
from training.report.raw import Result, environments, load
from training.study import words

HEAD = ("CLIP of", "environment", "words a frame", "distinct frames", "different words", "other kinds, same words")
LAST = "other objects, same words"


def generated(raw: Path) -> str:
    """Returns the text. raw: folder of the archives."""
    done, missing = load(raw, words)
    parts = [pairs(read(raw / "conflation.tar.xz"))]
    for env in environments([result.run for result in done]):
        parts += [f"## What SHELM reaches on {env}", tables.scores_table(_by_words(done, env), "words a frame")]
    return "\n\n".join([*parts, "## Not run", tables.not_run(missing)])


def _by_words(results: list[Result], env: str) -> dict[str, list[Result]]:
    """Returns the results of one environment by k, the smallest first."""
    found: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda one: one.run.name):
        if result.run.env == env:
            found.setdefault(result.run.name.split("-")[1][-1], []).append(result)
    return found


def pairs(files: Mapping[str, str]) -> str:
    """Returns the table of pairs. files: texts by name."""
    found = [json.loads(text) for text in files.values()]
    return tables.grid(
        [*HEAD, LAST], [_cells(f"{one['agent']} ({one['digest'][:8]})", row) for one in found for row in one["rows"]]
    )


def _cells(agent: str, row: dict[str, Any]) -> list[str]:
    shares = (_share(row[f"{name}_same"], row[f"{name}_pairs"]) for name in ("kinds", "objects"))
    return [agent, row["env"], str(row["k"]), str(row["frames"]), str(row["different_words"]), *shares]


def _share(same: int, pairs: int) -> str:
    return f"{same} of {pairs} ({100 * same / pairs:.1f} %)" if pairs else "-"
