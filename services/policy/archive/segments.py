"""`Segments`: Parquet files with the words of archived episodes, one row an episode, from which DuckDB answers searches.

Contract: the archive is the truth, and these files can be made from it again at any time. A file is complete or not there,
is never changed, and holds each row until it is replaced by another file without it, which has its number. Several processes
may read one folder; one at a time changes it, under a lock that the system takes back from a process that dies. A row is of
one file of the archive, whose path tells it from all others. Blocking: for threads.

Failure policy: a file that cannot be read is logged and deleted; its episodes are found missing, and written again, as are
those of a process that died while it put a file in the place of others. `alone` raises BlockingIOError while another process
makes changes; other errors of the file system and the engine are raised as they are.
"""

import contextlib
import fcntl
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from services.policy.archive.files import END, name_of, number_of, quoted, table_of
from services.protocol.archive import Indexed

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Part = tuple[Path, Path] | None  # a file that is not there yet, and where it will be; None if it would have no rows
MEMORY, THREADS = "256MB", 2  # of a process; beyond it large comparisons use files beside the segments
TRIES = 3  # of a query, while another process replaces files
COLUMNS = {  # as services.protocol.archive.Indexed has them
    "path": "VARCHAR",
    "name": "VARCHAR",
    "episode": "VARCHAR",
    "tenant": "VARCHAR",
    "agent": "VARCHAR",
    "digest": "VARCHAR",
    "created": "BIGINT",
    "updated": "BIGINT",
    "reward": "DOUBLE",
    "first": "BIGINT",
    "words": "VARCHAR[][]",
    "seen": "VARCHAR[]",
    "pairs": "VARCHAR[]",
}
_ALL = ", ".join(COLUMNS)
_NONE = "SELECT " + ", ".join(f"NULL::{kind} AS {name}" for name, kind in COLUMNS.items()) + " WHERE false"


class View:
    """All rows at one time. table: what stands for them in a query."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, table: str) -> None:
        self._cursor, self.table = cursor, table

    def rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows that a query finds. values: of its ?s."""
        return self._cursor.execute(sql, list(values)).fetchall()


class Segments:
    """The files of one folder, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._db = duckdb.connect(
            config={
                "memory_limit": MEMORY,
                "threads": THREADS,
                "temp_directory": str(folder / "spilled"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )

    def look(self, work: Callable[["View"], Result]) -> Result:
        """What some work finds in the rows as they are at one time; it may be repeated."""
        for left in reversed(range(TRIES)):
            try:
                return work(View(self._db.cursor(), _table(self.files())))
            except (duckdb.IOException, duckdb.InvalidInputException):  # replaced meanwhile, or damaged
                if not left:
                    raise
                for file in self.files():
                    self._read(file, "sum(hash(rows))")
        raise AssertionError

    def paths(self) -> dict[str, Path]:
        """The path of each row, and the file that holds it."""
        found = dict[str, Path]()
        for file in self.files():
            found |= {path: file for (path,) in self._read(file, "path")}
        return found

    def _read(self, file: Path, columns: str) -> list[tuple[Any, ...]]:
        """What a file holds; nothing, and it is deleted, if it cannot be read."""
        try:
            return self._db.cursor().execute(f"SELECT {columns} FROM {_table([file])} AS rows").fetchall()
        except duckdb.Error as error:
            log.error("%s cannot be read, and is made again: %s", file.name, error)
            file.unlink(missing_ok=True)
            return []

    def files(self) -> list[Path]:
        """All files, the oldest first."""
        return sorted(self._folder.glob(f"*{END}"))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Around changes."""
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for part in self._folder.glob("*.part"):  # of changes that failed
                part.unlink()
            yield

    def enter(self, number: str, data: bytes, newer: Sequence[Path]) -> None:
        """Writes a file that another process has written, without the rows of newer files, and takes its rows out of all
        others. ValueError if the bytes are no such file.
        """
        part = self._folder / "other.part"
        part.write_bytes(data)
        try:
            self._db.cursor().execute(f"SELECT sum(hash({_ALL})) FROM {_table([part])}").fetchall()
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise ValueError(f"no file of the index: {error}") from None
        rows = f"FROM {_table([part])} WHERE path NOT IN (SELECT path FROM {_table(newer)})"
        taken = self._db.cursor().execute(f"SELECT path {rows}").fetchall()
        new = self._part(f"SELECT {_ALL} {rows}", number=number)
        self._drop([path for (path,) in taken], self.paths(), [new])

    def add(self, rows: Iterable[Indexed]) -> None:
        """Writes a file with these rows."""
        part = self._folder / "json.part"
        with part.open("w") as file:
            longest = max((file.write(json.dumps(row.row()) + "\n") for row in rows), default=0)
        if longest:
            columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
            form = f"format='newline_delimited', columns={{{columns}}}, maximum_object_size={max(longest + 1, 2**20)}"
            self._swap([self._part(f"SELECT * FROM read_json({quoted(part)}, {form})")])

    def drop(self, paths: Iterable[str], held: Mapping[str, Path]) -> None:
        """Replaces the files that have some of these rows. held: as `paths` has told."""
        self._drop(paths, held, [])

    def _drop(self, paths: Iterable[str], held: Mapping[str, Path], coming: Sequence[Part]) -> None:
        """The same, together with what comes."""
        gone = [path for path in paths if path in held]
        files = sorted({held[path] for path in gone})
        rest = "SELECT * FROM {} WHERE path NOT IN (SELECT unnest(?))"
        left = [self._part(rest.format(_table([file])), [gone], number=number_of(file)) for file in files]
        self._swap([*left, *coming], files)

    def drop_named(self, names: Sequence[str]) -> None:
        """Replaces the files that have rows of these full names."""
        named = "WHERE name IN (SELECT unnest(?))"
        if found := self.look(lambda view: view.rows(f"SELECT path FROM {view.table} {named}", [list(names)])):
            self.drop([path for (path,) in found], self.paths())

    def join(self, files: Sequence[Path]) -> Path | None:
        """Makes one file of some, and returns it; None, and none is made, if they have no rows."""
        part = self._part(f"SELECT * FROM {_table(files)}")
        self._swap([part], files)
        return part[1] if part else None

    def close(self) -> None:
        """Closes the engine."""
        self._db.close()

    def _part(self, sql: str, values: Sequence[Any] = (), *, number: str = "") -> Part:
        """What a query finds, in a file that is not there yet. number: of the file that it is to replace; empty: none, and
        without rows there is no file.
        """
        part = self._folder / f"{uuid.uuid4().hex}.part"
        copied = f"COPY ({sql}) TO {quoted(part)} (FORMAT parquet, COMPRESSION zstd)"
        ((rows,),) = self._db.cursor().execute(copied, list(values)).fetchall()
        return (part, self._folder / name_of(rows, number)) if rows or number else None

    def _swap(self, parts: Sequence[Part], instead_of: Sequence[Path] = ()) -> None:
        """Files come in the place of others, which go before, so that no row is ever there twice."""
        for file in instead_of:
            file.unlink(missing_ok=True)
        for part, whole in filter(None, parts):
            os.replace(part, whole)


def _table(files: Sequence[Path]) -> str:
    return table_of(files) if files else f"({_NONE})"
