"""Output for people, with rich (extra `cli`) on a terminal and as plain text elsewhere; and JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

BAR = 20  # characters of a full bar


def console() -> Any | None:
    """Returns rich's console, or None if the output is not a terminal or rich is not installed."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False, markup=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows under their columns."""
    rich = console()
    if rich is None:
        _plain(columns, rows)
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        grid.add_row(*map(Text, row))
    rich.print(grid)


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[], None]]:
    """Shows a bar with an estimate on a terminal's stderr; what it gives is called after each of `total`."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield lambda: None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    errors = Console(stderr=True)
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bars:
        task = bars.add_task(what, total=total)
        yield lambda: bars.advance(task)


def line_of_json(fields: dict[str, Any]) -> None:
    """Prints one JSON object as a line."""
    print(json.dumps(fields), flush=True)


def bar(share: float) -> str:
    """Returns a bar for a fraction 0..1; fractions of at least one percent are visible."""
    full = "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    return full * (max(1, round(share * BAR)) if share >= 0.01 else 0)


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(columns, *rows)]
    for row in (columns, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip(), flush=True)
