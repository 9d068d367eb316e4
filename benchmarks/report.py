"""What every benchmark shares: its options, the description of the machine, medians, and the JSON file.

Failure policy: none of its own.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

FEATURES = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "amx_int8")
PACKAGES = ("torch", "numpy", "grpcio", "redis")


def options(description: str | None) -> argparse.ArgumentParser:
    """Returns a parser with the options of every benchmark."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here as well")
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often everything is measured")
    return parser


def machine() -> dict[str, Any]:
    """Describes what the figures depend on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "features": [name for name in FEATURES if torch.cpu.get_capabilities().get(name)],
        "load": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "commit": _git("rev-parse", "--short", "HEAD") + ("+changes" if _git("status", "--porcelain") else ""),
    }


def write(result: dict[str, Any], path: Path | None) -> None:
    """Writes a result with the machine and the command that made it."""
    # Of a path only its name: where this machine keeps its files is nobody's business.
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    program = Path(sys.argv[0])
    name = program.parent.name if program.stem == "__main__" else program.stem  # of a package that of its folder
    whole = {"command": [name, *words], "machine": machine(), **result}
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(whole, indent=1) + "\n")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Returns median, minimum and maximum."""
    return {"median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def seconds(work: Callable[[], Any]) -> float:
    """Returns how long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Times every way once a round, in turns, after one round that does not count; returns seconds by way."""
    for work in ways.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            found[name].append(seconds(work))
    return found


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Formats rows with the same keys as a table for people."""
    listed = list(rows)
    if not listed:
        return ""
    heads = list(listed[0])
    cells = [heads, *([_text(row[head]) for head in heads] for row in listed)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def _text(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip()
