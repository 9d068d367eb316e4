"""Learning curves as SVG: a method's mean over seeds, and a thin line for each seed.

Colours are those of Okabe and Ito, which can be distinguished with any kind of colour vision. The same results give the same
bytes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.report.measures import HIGHEST, SHARE
from training.report.raw import Floats, Result

NAMES = {"shelm": "SHELM", "helm": "HELM", "helmv2": "HELMv2", "lstm": "LSTM-PPO", "cnn": "CNN-PPO"}
COLOURS = {"shelm": "#0072B2", "helm": "#E69F00", "helmv2": "#CC79A7", "lstm": "#009E73", "cnn": "#000000"}
POINTS = 80  # of a line; more cannot be seen at this size


def learning_curves(methods: dict[str, list[Result]], file: Path) -> None:
    """Draws one plot of one environment, whose id is the title; methods: results by method."""

    def curves(axes: Axes) -> None:
        for method, results in methods.items():
            _curves(axes, results, colour=COLOURS[method], name=NAMES[method])
        _frame(axes, next(iter(methods.values()))[0].curve_of)

    save_plot(file, curves)


def save_plot(file: Path, draw: Callable[[Axes], None]) -> None:
    """Saves as SVG what `draw` draws, in the style of all plots of this repository."""
    style: Any = {"svg.hashsalt": "shelm", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(6.8, 3.6), layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def mean_curve(results: Sequence[Result]) -> tuple[Floats, Floats]:
    """Returns the steps, shape (m,), that all runs have in common, and the mean of their curves there, shape (m,)."""
    results = [result for result in results if result.steps.size]
    if not results:
        return np.zeros(0), np.zeros(0)
    first, last = max(result.steps[0] for result in results), min(result.steps[-1] for result in results)
    steps = np.unique(np.concatenate([result.steps for result in results]))
    steps = steps[(steps >= first) & (steps <= last)]
    return steps, np.mean([np.interp(steps, result.steps, result.curve) for result in results], axis=0)


def _curves(axes: Axes, results: Sequence[Result], *, colour: str, name: str) -> None:
    if len(results) > 1:
        for result in results:
            axes.plot(*_thinned(result.steps, result.curve), color=colour, linewidth=0.6, alpha=0.4)
    seeds = f"{len(results)} seed{'s' if len(results) > 1 else ''}"
    axes.plot(*_thinned(*mean_curve(results)), color=colour, linewidth=1.9, label=f"{name} ({seeds})")


def _thinned(steps: Floats, curve: Floats) -> tuple[Floats, Floats]:
    at = np.unique(np.linspace(0, len(steps) - 1, min(POINTS, len(steps))).astype(int))
    return steps[at] / 1000, curve[at]


def _frame(axes: Axes, env: str) -> None:
    if env not in HIGHEST:
        axes.axhline(SHARE, color="0.75", linewidth=0.8, linestyle=":", zorder=0)
        axes.set_ylim(min(axes.get_ylim()[0], -0.02), 1.02)
    axes.set_title(env, fontsize=10)
    axes.set_xlabel("environment steps (thousands)")
    axes.set_ylabel("return (mean of the last\n100 training episodes)")
    axes.set_xlim(left=0)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
