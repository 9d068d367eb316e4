"""The files of a bundle's folder, before anything of it is opened.

A bundle is files and folders alone. A link leads to what its digest does not stand for, and may lead elsewhere tomorrow; so
does a file that has a name outside the folder as well. A device or a pipe may never end.

Failure policy: `check_entries` raises ValueError that names the entry. OSError where a folder cannot be listed.
"""

import os
import stat
from collections import Counter
from pathlib import Path

MOST = 100_000  # files and folders of a bundle
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_entries(folder: Path) -> None:
    """Checks that everything in a folder is a file or a folder, and each file in it alone."""
    names: Counter[tuple[int, int]] = Counter()
    linked: dict[tuple[int, int], tuple[str, int]] = {}  # files with several names
    waiting, count = [str(folder)], 0
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                count += 1
                if count > MOST:
                    raise ValueError(f"expected at most {MOST} files and folders, there are more")
                status, name = entry.stat(follow_symlinks=False), os.path.relpath(entry.path, folder)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(entry.path)
                elif not stat.S_ISREG(status.st_mode):
                    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
                    raise ValueError(f"{name!a}: expected files and folders alone, this is {kind}")
                elif status.st_nlink > 1:
                    place = status.st_dev, status.st_ino
                    names[place] += 1
                    linked[place] = name, status.st_nlink
    for place, (name, links) in linked.items():
        if links > names[place]:
            raise ValueError(f"{name!a}: expected a file of this bundle alone, it has a name outside as well: copy it")
