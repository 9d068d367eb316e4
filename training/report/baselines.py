"""The generated part of docs/results/baselines.md: every method on MemoryS11 alone.

Failure policy: that of training.report.raw.
"""

from pathlib import Path

from training.report import tables
from training.report.plots import NAMES, learning_curves
from training.report.raw import load
from training.study import baselines


def generated(raw: Path, plots: Path) -> str:
    """Returns the text and draws the plot. raw: folder of the archives."""
    done, missing = load(raw, baselines)
    found = tables.by_method(done)
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
        parts += ["## Settings", tables.grid(["method", "learning rate", "entropy", "channels of the CNN"], settings)]
    return "\n\n".join(part.strip() for part in [*parts, "## Not run", tables.not_run(missing)])
