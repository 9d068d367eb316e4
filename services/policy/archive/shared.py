"""`Shared`: the files of the index that replicas keep for each other in the bucket of the archive, below `index/1`.

Contract: one object a file, NUMBER.parquet, written once and never changed; a number is nobody else's. Replicas do not wait
for each other: each takes over what it lacks, writes what nobody has written, and now and then writes one file in the place
of several, which it deletes only then. So an episode may be in two files: it counts in the newer one alone, on which all
replicas agree, and the other is written anew without it, as is one with deleted episodes. A file that is gone before it was
read has been replaced, so the list is read again. Blocking: for threads; one at a time.

Failure policy: what S3 says is raised as it is, and the next refresh goes on. A file that cannot be read is logged, and
deleted when its episodes have been read from the archive and written again.
"""

import logging
import time
from collections import Counter
from pathlib import Path

from services.policy.archive.files import END, NUMBER, number_of, small
from services.policy.archive.segments import Segments
from services.policy.places import Place

log = logging.getLogger(__name__)
FOLDER = "index/1"  # the 1 is the form of the files
TRIES = 5  # of reading the list
WASTE, LONG = 0.1, 3600.0  # share of rows of no use from which a file is replaced at once; seconds after which for one row


class Shared:
    """Those below one place, and the copies of them in a folder."""

    def __init__(self, place: str, segments: Segments) -> None:
        self._bucket, self._segments = Place(place), segments
        self._there: set[str] = set()
        self._damaged: set[str] = set()

    def take(self) -> None:
        """Copies the files that are not in the folder yet."""
        for _ in range(TRIES):
            names = [name.removesuffix(END) for name in self._bucket.names(FOLDER) if name.endswith(END)]
            self._there = {name for name in names if NUMBER.fullmatch(name)}
            here = {number_of(file) for file in self._segments.files()}
            lacking = sorted(self._there - here - self._damaged, reverse=True)
            if not [number for number in lacking if not self._copy(number)]:
                return

    def _copy(self, number: str) -> bool:
        """Copies a file; False if it is not there any more."""
        if (data := self._bucket.read(_path(number))) is None:
            self._there.discard(number)
            return False
        try:
            self._segments.enter(number, data, [file for file in self._kept() if number_of(file) > number])
        except ValueError as error:
            log.error("%s in the bucket cannot be read, and is made again: %s", _path(number), error)
            self._damaged.add(number)
        return True

    def _kept(self) -> list[Path]:
        return [file for file in self._segments.files() if number_of(file) in self._there]

    def pending(self) -> list[Path]:
        """The files whose rows are in no file of the bucket."""
        return [file for file in self._segments.files() if number_of(file) not in self._there]

    def publish(self) -> None:
        """Writes what is pending, but for what others have written meanwhile."""
        if self.pending():
            self.take()
            self._join(self.pending())

    def tidy(self) -> None:
        """Replaces the small ones of many files, and those with rows of no use."""
        rows, kept = Counter(self._segments.paths().values()), self._kept()
        replaced = {*small(kept), *(file for file in kept if _wasteful(file, rows[file]))}
        self._join(sorted(replaced))
        for number in {number_of(file) for file in replaced} | (self._damaged & self._there):
            self._bucket.remove(_path(number))

    def _join(self, files: list[Path]) -> None:
        if files and (file := self._segments.join(files)):
            self._bucket.write(_path(number_of(file)), file.read_bytes())
            self._there.add(number_of(file))


def _wasteful(file: Path, rows: int) -> bool:
    """Whether a file of the bucket, of which so many rows are of use, is worth replacing."""
    number = NUMBER.fullmatch(number_of(file))
    assert number
    waste = 1 - rows / int(number["rows"])
    return waste > WASTE or (waste > 0 and time.time() - int(number["written"]) / 1e9 > LONG)


def _path(number: str) -> str:
    return f"{FOLDER}/{number}{END}"
