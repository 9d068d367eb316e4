"""The generated part of docs/results/what-if.md: what an edit of the cue does to the turn at the fork, and to the return.

Reads the file of benchmarks.what_if. Failure policy: a missing field ends the command.
"""

import json
from collections.abc import Mapping
from typing import Any

from training.report.tables import between, grid

EDITS = {
    "everywhere": "key and ball exchanged in every step, the fork's own among them",
    "cue": "key and ball exchanged in the steps that showed the cue",
    "removed": "no words in the steps that showed the cue",
}
BRANCHES = {"none": "none", "cue": EDITS["cue"]}
TURN_HEAD = ("edit", "turn flips", "share, 95 % interval")
BRANCH_HEAD = ("edit of the branch", "mean return", "solved", "share, 95 % interval")


def generated(files: Mapping[str, str]) -> str:
    """Returns both tables for each file. files: texts by name."""
    return "\n\n".join(_tables(json.loads(text)) for text in files.values())


def _tables(found: Mapping[str, Any]) -> str:
    forks = found["forks"]
    turns = [
        [text, f"{found['edits'][name]['count']} of {forks}", _share(found["edits"][name])] for name, text in EDITS.items()
    ]
    branches = [
        [text, f"{one['mean_return']:.3f}", f"{one['count']} of {forks}", _share(one)]
        for name, text in BRANCHES.items()
        for one in [found["branches"][name]]
    ]
    told = (
        f"{found['episodes']} episodes of {found['env']} from {found['starts']} distinct starts, {found['solved']} solved, "
        f"{forks} with a fork. Branches without an edit that end with the return of their source: {found['same_as_source']}."
    )
    return "\n\n".join([told, grid(TURN_HEAD, turns), grid(BRANCH_HEAD, branches)])


def _share(one: Mapping[str, Any]) -> str:
    return between(one["share"], *one["interval"])
