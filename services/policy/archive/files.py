"""The names of the files of the index, and what stands for them in a query.

Contract: NUMBER[.OTHER].parquet. The number says when a file was first written, in nanoseconds since 1970, and with how many
rows, and ends with a random part, so that there is no other one; OTHER tells what replaces it without some of its rows from
it. Failure policy: a file that is not there any more has no bytes.
"""

import re
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

NUMBER = re.compile(r"(?P<written>\d{20})-(?P<rows>[1-9]\d*)-[0-9a-f]{8}")
END = ".parquet"
MOST = 12  # files, before the small ones become one


def number_of(file: Path) -> str:
    """The number of a file."""
    return file.name.partition(".")[0]


def name_of(rows: int, number: str = "") -> str:
    """A new name, of a file with so many rows. number: of the file that it replaces."""
    once = uuid.uuid4().hex[:8]
    return f"{number}.{once}{END}" if number else f"{time.time_ns():020}-{rows}-{once}{END}"


def small(files: Iterable[Path]) -> list[Path]:
    """The small ones of many files, which had better be one file; none of few."""
    ordered = sorted(files, key=_size)
    if len(ordered) <= MOST:
        return []
    found = [file for file in ordered if _size(file) < _size(ordered[-1]) / 2]
    return found if len(found) > MOST / 2 else ordered


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # another process has replaced it
        return 0


def quoted(path: Path) -> str:
    """A path in a query."""
    return "'" + str(path).replace("'", "''") + "'"


def table_of(files: Sequence[Path]) -> str:
    """What stands for the rows of some files in a query."""
    return f"read_parquet([{', '.join(map(quoted, files))}])"
