"""Puts the tables and plots of docs/results/load.md in place, from the raw data: `python -m benchmarks.endurance.page`.

Contract and failure policy: as benchmarks.page.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from benchmarks.page import COLOURS, DOCS, PLOTS, Row, filled, number, percent
from training.report.plots import save_plot

PAGE, RAW = DOCS / "results/load.md", DOCS / "results/raw/load"
CALLERS = DOCS / "results/raw/callers"  # what one caller does to another
PROCESSES = ("retrieval", "memory", "policy", "redis")
POINTS = 120  # of a line; more cannot be seen at this size


def read(name: str, folder: Path = RAW) -> Any:
    """Returns the raw data of a part."""
    return json.loads((folder / f"{name}.json").read_text())


def runs() -> list[tuple[str, Any]]:
    """Returns the rows of all parts with their names."""
    limited = [(f"overload, {_limit(row)}", row) for row in read("overload")["overload"]]
    lives = [
        (f"lives, {name}", read(file)["lives"]) for name, file in (("30 minutes", "lives"), ("after the repair", "lives-2"))
    ]
    return [*limited, ("slots", read("slots")["slots"]), *lives]


def _limit(row: Any) -> str:
    return f"limit {row['max_in_flight']}" if row["max_in_flight"] else "default limit"


def _times(row: Any, *names: str) -> str:
    return ", ".join(number(row[name]) for name in names)


def overload() -> Iterable[Row]:
    """One column for each limit."""
    rows = read("overload")["overload"]
    quantiles = ("p50_ms", "p95_ms", "p99_ms")
    yield "`SHELM_MAX_IN_FLIGHT`", *(str(row["max_in_flight"] or "1024 (default)") for row in rows)
    yield "Acts, Acts/s", *(f"{row['acts']:,}, {number(row['rate'])}" for row in rows)
    yield (
        "accepted attempts: p50, p95, p99, longest ms",
        *(_times(row["accepted"], *quantiles, "longest_ms") for row in rows),
    )
    yield "of these within policy: p50, p95, p99 ms", *(_times(row["in_policy"], *quantiles) for row in rows)
    yield (
        "Acts with all their waiting: p50, p95, p99, longest ms",
        *(_times(row["with_waiting"], *quantiles, "longest_ms") for row in rows),
    )
    yield "Acts that were refused at least once", *(percent(row["refused_share"]) for row in rows)
    yield "refused Acts / of these succeeded", *(f"{row['refused']:,} / {row['recovered']:,}" for row in rows)
    yield (
        "refusals / of these with advice when to retry",
        *(f"{row['refusals']:,} / {row['refusals_with_advice']:,}" for row in rows),
    )
    yield (
        "attempts that failed otherwise / Acts that failed",
        *(f"{sum(row['retried_otherwise'].values())} / {sum(row['failed'].values())}" for row in rows),
    )


def sizes() -> Iterable[Row]:
    """Level and growth of every process in the second half of every run."""
    yield "run", "process", "resident MB", "growth, MB", "growth, %", "descriptors", "growth"
    for name, row in runs():
        for process in PROCESSES:
            rss, files = row["trends"][process]["rss_mb"], row["trends"][process]["descriptors"]
            growth = f"{rss['growth']:+.2f}", f"{100 * rss['share']:+.2f}"
            yield name, process, number(rss["level"]), *growth, round(files["level"]), f"{files['growth']:+.1f}"


def month() -> Iterable[Row]:
    """One row for all the days, and one for each of the hours."""
    kinds = ("began", "refused", "ended", "abandoned", "failed", "read", "unreadable")
    yield "time", "largest share of the memory", *kinds
    files = ("30 days", "month"), ("an hour of the same traffic", "month-hour"), ("an hour of 8 times it", "month-surge")
    for name, file in files:
        rows = read(file)["rows"]
        share = percent(max(row["largest_share"] for row in rows))
        yield name, share, *(f"{sum(row[kind] for row in rows):,}" for kind in kinds)


def slots() -> Iterable[Row]:
    """One row."""
    row = read("slots")["slots"]
    yield (
        "episodes",
        "slots",
        "Acts",
        "Acts/s",
        "p50, p95, p99 ms",
        "hits",
        "rebuilds",
        "evictions",
        "compared / differing",
        "failed",
    )
    yield (
        *(f"{row['episodes']:,}", row["slots"], f"{row['acts']:,}", number(row["rate"])),
        _times(row["accepted"], "p50_ms", "p95_ms", "p99_ms"),
        *(f"{row[name]:,}" for name in ("hits", "rebuilds", "evictions")),
        *(f"{row['compared']:,} / {row['differing']}", sum(row["failed"].values())),
    )


def lives() -> Iterable[Row]:
    """How often what has happened."""
    found = [row for name, row in runs() if name.startswith("lives")]
    first = [kind for kind in found[0]["counts"] if kind not in ("names", "failed")]
    yield "what", *(f"{row['seconds'] / 60:.0f} minutes" for row in found)
    for kind in sorted(first):
        yield kind, *(f"{row['counts'].get(kind, 0):,}" for row in found)
    yield "in the archive / missing / too many", *(_archive(row["archive"]) for row in found)
    yield "**failed**", *(row["counts"].get("failed", 0) for row in found)


def _archive(found: Any) -> str:
    return f"{found['held']:,} / {found['missing']} / {found['unexpected']}" if found else "-"


def crowding() -> Iterable[Row]:
    """A bystander beside each attack, before and now."""
    rows = {(row["checkout"], row["attack"]): row for row in read("crowding", CALLERS)["rows"]}
    times = ("p50_ms", "p99_ms", "longest_ms")
    yield (
        "attack",
        "before: p50, p99, longest ms",
        "now: p50, p99, longest ms",
        "attackers' calls before: answered / refused",
        "now",
    )
    for attack in dict.fromkeys(attack for _, attack in rows):
        before, now = rows["before", attack], rows["now", attack]
        told = [f"{row['answered']:,} / {row['refused']:,}" for row in (before, now)]
        yield attack, _times(before, *times), _times(now, *times), *told


def unknown_names() -> Iterable[Row]:
    """Names of another tenant against names that nobody has."""
    yield "method", "calls", "another's, ms", "nobody's, ms", "difference, µs (95 %)", "of nobody's alone, µs (95 %)", "seen"
    for row in read("unknown-names", CALLERS)["rows"]:
        times = f"{row['theirs_ms']:.2f}", f"{row['nobodys_ms']:.2f}"
        gaps = ["{:+.0f} ({:+.0f} to {:+.0f})".format(*row[name]) for name in ("difference_us", "control_us")]
        yield row["method"], f"{row['calls']:,}", *times, *gaps, "yes" if row["seen"] else "no"


TABLES: dict[str, Callable[[], Iterable[Row]]] = {
    one.__name__: one for one in (overload, month, sizes, slots, lives, crowding, unknown_names)
}


def over_time(axes: Axes, runs: Sequence[tuple[str, Any]], quantity: str, label: str) -> None:
    """Draws a quantity of every process over time, a run by the style of its line."""
    for (name, row), style in zip(runs, ("-", "--"), strict=False):
        for colour, process in zip(COLOURS, PROCESSES, strict=False):
            values = row["series"][process][quantity]
            at = _few(len(values))
            minutes = np.asarray(row["series"]["second"])[at] / 60
            words = f"{process}, {name}" if len(runs) > 1 else process
            axes.plot(minutes, np.asarray(values)[at], style, color=colour, label=words)
    axes.set(xlabel="minutes", ylabel=label, ylim=(0, None))


def _few(count: int) -> Any:
    return np.unique(np.linspace(0, count - 1, min(POINTS, count)).astype(int))


def _overload() -> list[tuple[str, Any]]:
    return [(_limit(row), row) for row in read("overload")["overload"]]


def plot_overload(axes: Axes) -> None:
    """Resident size under overload."""
    over_time(axes, _overload(), "rss_mb", "resident MB")


def plot_overload_descriptors(axes: Axes) -> None:
    """Descriptors under overload."""
    over_time(axes, _overload(), "descriptors", "open descriptors")


def plot_overload_p99(axes: Axes) -> None:
    """p99 of every second under overload."""
    for colour, (name, row) in zip(COLOURS, _overload(), strict=False):
        values = row["series"]["load"]["p99_ms"]
        axes.plot(_few(len(values)) / 60, np.asarray(values)[_few(len(values))], color=colour, label=name)
    axes.set(xlabel="minutes", ylabel="p99 of accepted Acts, ms", ylim=(0, None))


def plot_slots(axes: Axes) -> None:
    """Resident size with more episodes than slots."""
    over_time(axes, [("", read("slots")["slots"])], "rss_mb", "resident MB")


def plot_lives(axes: Axes) -> None:
    """Resident size of the soak."""
    over_time(axes, [("", read("lives")["lives"])], "rss_mb", "resident MB")


def plot_lives_descriptors(axes: Axes) -> None:
    """Descriptors of the soak."""
    over_time(axes, [("", read("lives")["lives"])], "descriptors", "open descriptors")


DRAWN: dict[str, Callable[[Axes], None]] = {
    one.__name__.removeprefix("plot_").replace("_", "-"): one
    for one in (plot_overload, plot_overload_descriptors, plot_overload_p99, plot_slots, plot_lives, plot_lives_descriptors)
}


def draw(name: str, file: Path) -> None:
    """Draws one plot as SVG."""

    def legend_too(axes: Axes) -> None:
        DRAWN[name](axes)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)

    save_plot(file, legend_too)


def main() -> None:
    """Runs the command."""
    PAGE.write_text(filled(PAGE.read_text(), TABLES))
    for name in DRAWN:
        draw(name, PLOTS / f"load-{name}.svg")


if __name__ == "__main__":
    main()
