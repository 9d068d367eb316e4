"""Puts the tables and plots of docs/performance.md in place, from the raw data: `python -m benchmarks.page`.

Contract: a table stands between `<!-- table: NAME -->` and `<!-- end -->`; the words around it are written by hand and stay
as they are. The same data gives the same bytes. `--check` changes nothing, and fails if the page is not what the data says.

Failure policy: a table whose raw file is missing raises FileNotFoundError; a marker without a table raises KeyError.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from training.report.plots import save_plot

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, RAW, PLOTS = DOCS / "performance.md", DOCS / "results/raw/performance", DOCS / "results/plots"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#000000", "#56B4E9")  # of Okabe and Ito
Row = Sequence[object]


def read(name: str) -> Any:
    """Returns the raw data of a benchmark."""
    return json.loads((RAW / f"{name}.json").read_text())


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percent(share: float) -> str:
    """A share in per cent."""
    return f"{100 * share:.1f} %"


def reference() -> Iterable[Row]:
    """Against the reference way."""
    return _reference("reference")


def reference_windows() -> Iterable[Row]:
    """The same in a shorter run with more windows."""
    return _reference("reference-windows")


def _reference(name: str) -> Iterable[Row]:
    yield "profile", "window", "episodes", "frames", "reference ms", "ours ms", "ratio", "words cached"
    for row in read(name)["rows"]:
        first = row["profile"], row["window"], row["episodes"], row["frames"]
        yield (
            *first,
            number(row["reference_ms"]),
            number(row["ours_ms"]),
            f"{row['ratio']:.1f}",
            f"{100 * row['cached']:.0f} %",
        )


def load() -> Iterable[Row]:
    """Against an earlier state: closed loop."""
    yield "deployment", "episodes", "before: Acts/s, p50, p99 ms", "now: Acts/s, p50, p99 ms", "rate now / before"
    yield from _against("load")


def load_triton() -> Iterable[Row]:
    """One call of Triton against the calls of three services."""
    yield (
        "deployment",
        "episodes",
        "in parts: Acts/s, p50, p99 ms",
        "one call: Acts/s, p50, p99 ms",
        "rate one call / in parts",
    )
    yield from _against("load-triton")


def _against(name: str) -> Iterable[Row]:
    data = read(name)
    rows = {(row["deployment"], row["episodes"]): row for row in data["closed"]}
    for found in data["against"]:
        key = found["deployment"], found["episodes"]
        yield *key, _load(rows[f"{key[0]} against", key[1]]), _load(rows[key]), f"{found['ratio']:.2f}"


def _load(row: dict[str, Any]) -> str:
    return ", ".join(number(row[name]) for name in ("rate", "p50_ms", "p99_ms"))


def load_many() -> Iterable[Row]:
    """Many episodes."""
    yield "deployment", "episodes", "Acts/s", "p50, p95, p99 ms", "refused"
    for row in read("load-many")["closed"]:
        times = ", ".join(number(row[name]) for name in ("p50_ms", "p95_ms", "p99_ms"))
        yield row["deployment"], row["episodes"], number(row["rate"]), times, int(row["refused"])


def open_loop() -> Iterable[Row]:
    """Acts that arrive at random times."""
    yield "deployment", "offered Acts/s", "answered Acts/s", "p50, p95, p99 ms", "refused"
    for row in read("load-many")["open"]:
        times = ", ".join(number(row[name]) for name in ("p50_ms", "p95_ms", "p99_ms"))
        yield row["deployment"], number(row["offered"]), number(row["rate"]), times, row["refused"]


def peers() -> Iterable[Row]:
    """Other servers."""
    rows = {(row["server"], row["episodes"]): row for row in read("peers")["rows"]}
    counts = sorted({episodes for _, episodes in rows})
    yield "server", *(f"Acts/s, p99 ms at {count}" for count in counts)
    for server in dict.fromkeys(server for server, _ in rows):
        found = [rows.get((server, count)) for count in counts]
        yield server, *(f"{number(row['rate'])}, {number(row['p99_ms'])}" if row else "-" for row in found)


def overhead() -> Iterable[Row]:
    """Served against in process."""
    yield "bundle", "frames", "deployment", "served p50 ms", "in one process ms", "ratio"
    for row in read("overhead")["rows"]:
        times = number(row["served_p50_ms"]), number(row["in_process_p50_ms"])
        yield row["bundle"], row["frames"], row["deployment"], *times, f"{row['ratio']:.2f}"


def stages() -> Iterable[Row]:
    """Where the time of a served Act goes: cached frames, three processes."""
    rows = [row for row in read("overhead")["rows"] if (row["frames"], row["deployment"]) == ("cached", "processes")]
    yield "stage, ms", *(row["bundle"] for row in rows)
    for stage in rows[0]["stages"]:
        yield stage, *(number(row["stages"][stage]) for row in rows)


def rebuild() -> Iterable[Row]:
    """After all slots were lost."""
    yield "bundle", "steps", "episodes at once", "first action ms", "single steps", "p99 of others: alone, meanwhile ms"
    for name in ("rebuild", "rebuild-paper"):
        for row in read(name)["rows"]:
            others = [row.get(key) for key in ("others_alone_p99_ms", "others_p99_ms")]
            said = ", ".join(number(one) for one in others if one is not None) or "-"
            yield (
                *(row["bundle"], f"{row['steps']:,}", row["episodes"]),
                *(number(row["first_ms"]), f"{row['steps_time']:.1f}", said),
            )


def capacity() -> Iterable[Row]:
    """Resident size of each process."""
    data = read("capacity")
    yield "agents", "retrieval MB", "memory MB", "policy MB"
    for row in [*data["resident"], {**data["resident_paper"], "bundles": "the paper's"}]:
        yield row["bundles"], *(f"{row[part] / 1e6:,.0f}" for part in ("retrieval", "memory", "policy"))


def training() -> Iterable[Row]:
    """PPO."""
    yield "this checkout", "before, steps/s", "now, steps/s", "ratio"
    for name in ("training-speed", "training-speed-threads2"):
        data = read(name)
        rates = [number(data[side]["steps_per_second"]["median"]) for side in ("against", "this")]
        threads = data["threads"]
        yield f"{threads} thread{'s' if threads > 1 else ''}", *rates, f"{data['ratio']['seconds']:.2f}"


def agreement() -> Iterable[Row]:
    """Number formats against float32."""
    yield "agent", "retrieval", "memory", "distinct frames", "words", "forced", "free"
    for name in ("agreement", "agreement-recognition"):
        for row in read(name)["rows"]:
            shares = [percent(row[kind]) for kind in ("words", "forced", "free")]
            yield row["bundle"], row["retrieval"], row["memory"], row["distinct_frames"], *shares


def gpu_engines() -> Iterable[Row]:
    """Engines and the whole pipeline on a GPU."""
    yield "part", "window", "batch", "p50 ms", "p99 ms", "Acts/s", "share of the roofline"
    for row in read("gpu")["engines"]:
        if row["batch"] in (1, 16, 64, 256, 512):
            share = percent(row["share_of_roofline"]) if "share_of_roofline" in row else ""
            times = number(row["p50_ms"]), number(row["p99_ms"])
            yield row["part"], row["window"] or "", row["batch"], *times, f"{row['rate']:,.0f}", share


def gpu_fast_paths() -> Iterable[Row]:
    """The kernel and CUDA graphs against the plain ways, on a GPU."""
    yield "way", "window", "batch", "ms", "plain way, ms", "ratio", "largest difference"
    for row in read("gpu")["fast_paths"]:
        if "ratio" in row:
            times = number(row["p50_ms"]), number(row["plain_p50_ms"])
            yield row["path"], row["window"], row["batch"], *times, row["ratio"], f"{row['difference']:.0e}"


def gpu_services() -> Iterable[Row]:
    """Services whose engines are on a GPU."""
    yield "agent", "deployment", "episodes", "Acts/s", "p50 ms", "p99 ms", "mean batch", "CPU ms per Act"
    for name, bundle in (("gpu-services", "minigrid-memory"), ("gpu-services-paper", "paper-511")):
        for row in read(name)["services"]:
            if row["bundle"] == bundle:
                spent = sum(value for process, value in row["cpu_ms_per_act"].items() if process not in ("client", "redis"))
                kind = row["deployment"].split()[0]
                times = number(row["p50_ms"]), number(row["p99_ms"])
                rate, batch = f"{row['rate']:,.0f}", number(row["mean_batch"]["policy decide"])
                yield bundle, kind, row["episodes"], rate, *times, batch, number(spent)


def scale_homes() -> Iterable[Row]:
    """Where episodes live while a cluster changes."""
    yield "memory replicas", "event", "rebuilds per episode", "hottest replica, times the mean: before, after"
    for row in read("scale")["homes"]:
        hottest = f"{row['hottest_before']:.2f}, {row['hottest_after']:.2f}"
        yield row["replicas"], row["event"], f"{row['rebuilds_per_episode']:.2f}", hottest


def scale_plan() -> Iterable[Row]:
    """What numbers of running episodes take."""
    yield (
        "running episodes",
        "cores of the services",
        "pods of 4 cores",
        "Redis GB",
        "AOF MB/s",
        "slots GB",
        "slots GB, the paper's, bfloat16",
    )
    for row in read("scale")["plan"]:
        sizes = (row[name] / 1e9 for name in ("redis_bytes", "slot_bytes", "paper_slot_bytes"))
        redis_size, slots, paper = map(number, sizes)
        cores, aof = number(row["cores"]), number(row["aof_bytes_per_second"] / 1e6)
        yield f"{row['episodes']:,}", cores, f"{math.ceil(row['cores'] / 4):,}", redis_size, aof, slots, paper


def search_stored() -> Iterable[Row]:
    """What finding episodes stores."""
    yield "", "bytes per episode"
    stored = read("search")["index"]
    yield "index in Redis", number(stored["redis_bytes_per_episode"])
    yield "a file of the archive", number(stored["archive_bytes_per_episode"])
    yield "index of the archive, Parquet", number(stored["parquet_bytes_per_episode"])


def search_questions() -> Iterable[Row]:
    """How long questions take."""
    yield "question", "episodes found", "p50 ms", "p99 ms", "commands of Redis"
    for row in read("search")["questions"]:
        yield (
            row["question"],
            f"{row['found']:,}",
            number(row["p50_ms"]),
            number(row["p99_ms"]),
            f"{row['redis_commands']:,}",
        )


def search_listing() -> Iterable[Row]:
    """A list by name prefix before and after it read its page in few turns."""
    yield "question", "server", "sweeps", "asked", "p50 ms", "p99 ms"
    for row in read("listing")["questions"]:
        sweeping = "while one runs" if row["sweeping"] else "none"
        yield row["question"], row["server"], sweeping, f"{row['asked']}", number(row["p50_ms"]), number(row["p99_ms"])


def search_bucket() -> Iterable[Row]:
    """What a start asks of a bucket."""
    yield "start", "episodes read one by one", "requests", "seconds"
    for row in read("bucket")["starts"]:
        yield row["start"], f"{row['episodes_read']:,}", f"{row['requests']['median']:,}", number(row["seconds"]["median"])


TABLES: dict[str, Callable[[], Iterable[Row]]] = {
    one.__name__: one
    for one in (
        *(reference, reference_windows, load, load_triton, load_many, open_loop, peers, overhead, stages),
        *(rebuild, capacity, scale_homes, scale_plan, search_stored, search_questions, training, agreement),
        *(search_listing, search_bucket),
        *(gpu_engines, gpu_fast_paths, gpu_services),
    )
}


def plot_reference(axes: Axes) -> None:
    """Ratio by window."""
    rows = [row for row in read("reference-windows")["rows"] if row["profile"] == "paper"]
    for colour, (episodes, frames) in zip(COLOURS, dict.fromkeys((r["episodes"], r["frames"]) for r in rows), strict=False):
        mine = [row for row in rows if (row["episodes"], row["frames"]) == (episodes, frames)]
        label = f"{episodes} episode{'s' if episodes > 1 else ''}, {frames} frames"
        axes.plot([r["window"] for r in mine], [r["ratio"] for r in mine], "o-", color=colour, label=label)
    axes.set(xscale="log", yscale="log", xlabel="window", ylabel="times faster than the reference way")


def plot_load(axes: Axes) -> None:
    """Rate by number of episodes."""
    rows = read("load")["closed"]
    for colour, name in zip(COLOURS, dict.fromkeys(row["deployment"] for row in rows), strict=False):
        mine = [row for row in rows if row["deployment"] == name]
        label = name.replace(" against", ", before")
        axes.plot([r["episodes"] for r in mine], [r["rate"] for r in mine], "o-", color=colour, label=label)
    axes.set(xscale="log", xlabel="episodes at once", ylabel="Acts per second", ylim=(0, None))


def plot_peers(axes: Axes) -> None:
    """Rate by number of episodes and server."""
    rows = read("peers")["rows"]
    for colour, name in zip(COLOURS, dict.fromkeys(row["server"] for row in rows), strict=False):
        mine = [row for row in rows if row["server"] == name]
        axes.plot([r["episodes"] for r in mine], [r["rate"] for r in mine], "o-", color=colour, label=name)
    axes.set(xscale="log", xlabel="episodes at once", ylabel="Acts per second", ylim=(0, None))


DRAWN = {"reference": plot_reference, "load": plot_load, "peers": plot_peers}


def draw(name: str, file: Path) -> None:
    """Draws one plot as SVG."""

    def legend_too(axes: Axes) -> None:
        DRAWN[name](axes)
        axes.legend(frameon=False)

    save_plot(file, legend_too)


def markdown(rows: Iterable[Row]) -> str:
    """A table; the first row is its head."""
    head, *rest = [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join([head, "|" + " --- |" * (head.count("|") - 1), *rest])


def filled(page: str, tables: Mapping[str, Callable[[], Iterable[Row]]] = TABLES) -> str:
    """Returns the page with its tables made anew."""

    def made(found: re.Match[str]) -> str:
        return f"<!-- table: {found[1]} -->\n\n{markdown(tables[found[1]]())}\n\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->.*?<!-- end -->", made, page, flags=re.DOTALL)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    page = PAGE.read_text()
    new = filled(page)
    if parser.parse_args().check:
        sys.exit(f"{PAGE.name} differs from the raw data: run python -m benchmarks.page" if new != page else 0)
    PAGE.write_text(new)
    for name in DRAWN:
        draw(name, PLOTS / f"performance-{name}.svg")


if __name__ == "__main__":
    main()
