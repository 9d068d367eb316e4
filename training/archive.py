"""Archives of raw results: one .tar.xz per study, in docs/results/raw.

`python -m training.archive docs/results/raw/explain.tar.xz runs/explain/*.json` adds files under their own names and
replaces those of the same name; `world.json=FILE` stores a file under another name. `tar xf` extracts them. training.study
and training.chance add their results themselves.

Contract: the same texts give the same bytes. Concurrent writers see each other's additions, and a writer that is killed
leaves the archive unchanged. Failure policy: a file that is not an archive raises tarfile.TarError.
"""

import argparse
import fcntl
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, cast

RAW = Path("docs/results/raw")


def read(archive: Path) -> dict[str, str]:
    """Returns all texts by name, sorted by name; empty if the archive does not exist."""
    if not archive.exists():
        return {}
    with tarfile.open(archive) as file:
        return {member.name: cast(IO[bytes], file.extractfile(member)).read().decode() for member in file}


def add(archive: Path, texts: Mapping[str, str]) -> None:
    """Adds texts by name, replacing texts of the same name."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".partial")
    with _alone(archive.parent):
        whole = {**read(archive), **texts}
        with tarfile.open(partial, "w:xz") as file:
            for name, text in sorted(whole.items()):
                content = text.encode()
                member = tarfile.TarInfo(name)
                member.size = len(content)
                file.addfile(member, BytesIO(content))
        partial.replace(archive)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Locks the folder's archives against other threads and processes."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("files", nargs="+", metavar="[NAME=]FILE")
    options = parser.parse_args(arguments)
    named = [file.rpartition("=") for file in options.files]
    add(options.archive, {name or Path(file).name: Path(file).read_text() for name, _, file in named})


if __name__ == "__main__":
    main()
