"""The generated part of docs/results/baselines.md: every method on MemoryS11 alone, and what decided its settings.

Failure policy: that of training.report.raw.
"""

from collections.abc import Sequence
from pathlib import Path

from training.report import tables
from training.report.plots import NAMES, learning_curves
from training.report.raw import Result, load
from training.study import CHOSEN, SETTINGS, TUNING_SEED, Run, baselines

OF_SHELM, OF_AUTHORS = "those of SHELM", "learning rate and entropy of the authors"


def generated(raw: Path, plots: Path) -> str:
    """Returns the text and draws the plot. raw: folder of the archives."""
    done, missing = load(raw, baselines)
    tuned = [result for result in done if result.run.seed == TUNING_SEED]
    found = tables.by_method(result for result in done if result.run.seed != TUNING_SEED)
    parts = []
    if found:
        learning_curves(found, plots / "baselines.svg")
        parts += ["![Learning curves on MiniGrid-MemoryS11-v0 alone](plots/baselines.svg)"]
        parts += [tables.scores_table(found), tables.welch_table(found)]
    if tuned:
        parts += ["## What decided the settings", _tuning(tuned)]
    return "\n\n".join(part.strip() for part in [*parts, "## Not run", tables.not_run(missing)])


def _tuning(tuned: Sequence[Result]) -> str:
    rows = []
    for result in tuned:
        name = setting_of(result.run)
        taken = "taken" if CHOSEN[result.run.method] == name else ""
        which = OF_SHELM if name == "same" else OF_AUTHORS
        rate, entropy = (f"{result.settings[key]:g}" for key in ("learning_rate", "entropy"))
        rows.append([NAMES[result.run.method], which, rate, entropy, f"{result.curve[-1]:.3f}", taken])
    head = ["method", "settings", "learning rate", "entropy", f"return of seed {TUNING_SEED} at the end of training", ""]
    return tables.grid(head, rows)


def setting_of(run: Run) -> str:
    """Returns which of the method's settings a tuning run has."""
    return next(name for name in SETTINGS[run.method] if run.name == f"baselines-{run.method}_{name}-{run.seed}")
