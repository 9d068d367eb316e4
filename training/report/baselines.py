"""The generated part of docs/results/baselines.md: every method on MemoryS11 alone, and why runs of SHELM fail.

Failure policy: that of training.report.raw.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from training.archive import read
from training.report import tables
from training.report.plots import NAMES, learning_curves
from training.report.raw import load
from training.report.traces import count_of, ends_of, failed_of
from training.study import baselines
from training.traces import NAMINGS
from training.word_edits import ENDS


def generated(raw: Path, plots: Path) -> str:
    """Returns the text and draws the plot. raw: folder of the archives."""
    done, missing = load(raw, baselines)
    found = tables.by_method(result for result in done if not result.run.begins)
    parts = list[str]()
    if found:
        learning_curves(found, plots / "baselines.svg")
        firsts = {NAMES[method]: results[0].settings for method, results in found.items()}
        settings = [
            [name, *(f"{run[key]:g}" for key in ("learning_rate", "entropy")), "x".join(map(str, run["policy"]["channels"]))]
            for name, run in firsts.items()
        ]
        parts += ["![Learning curves on MiniGrid-MemoryS11-v0 alone](plots/baselines.svg)"]
        parts += [tables.scores_table(found), tables.welch_table(found)]
        if longer := tables.longer(done):
            parts += ["## SHELM after the authors' number of steps", tables.scores_table(longer)]
        parts += _traced(read(raw / "baselines.tar.xz"))
        parts += ["## Settings", tables.grid(["method", "learning rate", "entropy", "channels of the CNN"], settings)]
    return "\n\n".join(part.strip() for part in [*parts, "## Not run", tables.not_run(missing)])


def _traced(texts: Mapping[str, str]) -> list[str]:
    """Returns the ends and failures of the runs with traces.json (training.traces) from every distinct start."""
    rows = []
    for name in sorted(texts):
        run, _, file = name.partition("/")
        if file == "traces.json":
            episodes = json.loads(texts[name])["episodes"]
            failed = failed_of(episodes)
            rows.append(
                [run.removeprefix("baselines-"), *ends_of(episodes), *(count_of(failed, naming) for naming in NAMINGS)]
            )
    head = ["run", "starts", *ENDS, "share right, 95 % interval", *NAMINGS]
    return (
        ["## Failures by what memory said of the cue, greedy, from every distinct start", tables.grid(head, rows)]
        if rows
        else []
    )
