"""The generated part of docs/results/traces.md: how episodes end from every distinct start, and what memory said of the cue.

Reads the files of training.traces. Failure policy: a missing field ends the command.
"""

import json
from collections.abc import Mapping
from typing import Any

from shelm.gym.intervals import wilson

from training.report.tables import between, grid
from training.traces import NAMINGS
from training.word_edits import ENDS

HEAD = ("agent", "environment", "starts", *ENDS, "share right, 95 % interval")


def generated(files: Mapping[str, str]) -> str:
    """Returns the table of ends, that of failures by naming, and one line for each failure. files: texts by name."""
    measured = sorted(map(json.loads, files.values()), key=lambda one: (one["agent"], len(one["episodes"])))
    ends = [[one["agent"], one["env"], *ends_of(one["episodes"])] for one in measured]
    failed = [(one["agent"], one["env"], episode) for one in measured for episode in failed_of(one["episodes"])]
    counts = [
        [one["agent"], one["env"], *(count_of(failed_of(one["episodes"]), naming) for naming in NAMINGS)] for one in measured
    ]
    parts = [
        grid(HEAD, ends),
        "## Failures by what memory said of the cue",
        grid(["agent", "environment", *NAMINGS], counts),
        "## Each failure",
        grid(
            ["agent", "environment", "seed", "cue", "end", "naming", "words where the cue was in view"],
            [[agent, env, *_failure(episode)] for agent, env, episode in failed],
        ),
    ]
    return "\n\n".join(parts)


def ends_of(episodes: list[dict[str, Any]]) -> list[str]:
    """Returns the starts, how many ended in each way, and the share of right ends with its interval."""
    counts = [sum(episode["end"] == end for episode in episodes) for end in ENDS]
    right = counts[0] / len(episodes)
    return [*map(str, [len(episodes), *counts]), between(right, *wilson(right, len(episodes)))]


def failed_of(episodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the episodes that did not end at the right object."""
    return [episode for episode in episodes if episode["end"] != "right"]


def count_of(failed: list[dict[str, Any]], naming: str) -> str:
    """Returns how many failed with this naming: at the wrong object, and never arrived."""
    wrong, never = (sum((one["naming"], one["end"]) == (naming, end) for one in failed) for end in ENDS[1:])
    return f"{wrong} wrong, {never} never" if wrong or never else "-"


def _failure(episode: dict[str, Any]) -> list[str]:
    shown = list(dict.fromkeys(word for step in episode["steps"] if step["cue"] for word in step["words"]))
    return [str(episode["start"]), episode["cue"], episode["end"], episode["naming"], " ".join(shown) or "-"]
