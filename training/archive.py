"""Archives of raw results: one .tar.xz for each study, in docs/results/raw.

`python -m training.archive docs/results/raw/explain.tar.xz runs/explain/*.json` adds files under their own names, in place
of those of the same names; `world.json=FILE` gives one another name. `tar xf` takes them out again. training.study and
training.chance add theirs themselves.

Contract: the same texts give the same bytes. Writers may work side by side, each sees what the others added, and one that
is killed leaves the archive as it was. Failure policy: what is no archive raises tarfile.TarError.
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
    """All texts by name, in the order of their names; none where there is no archive yet."""
    if not archive.exists():
        return {}
    with tarfile.open(archive) as file:
        return {member.name: cast(IO[bytes], file.extractfile(member)).read().decode() for member in file}


def add(archive: Path, texts: Mapping[str, str]) -> None:
    """Adds texts by name; a name that is there already gets the new text."""
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
    """Keeps other writers, threads and processes, out of the folder's archives."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("files", nargs="+", metavar="[NAME=]FILE")
    options = parser.parse_args(arguments)
    named = [file.rpartition("=") for file in options.files]
    add(options.archive, {name or Path(file).name: Path(file).read_text() for name, _, file in named})


if __name__ == "__main__":
    main()
