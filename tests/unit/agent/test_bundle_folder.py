"""What is neither a file of the bundle alone nor a folder is refused, before anything is opened."""

import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.bundle_folder import check_entries


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files in folders."""
    inner = tmp_path / "bundle" / "clip" / "deeper"
    inner.mkdir(parents=True)
    (inner / "x.bin").write_text("content")
    (tmp_path / "outside").write_text("content")
    return tmp_path / "bundle"


def bind(path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as one:
        before = Path.cwd()
        os.chdir(path.parent)  # the path of a socket is short
        try:
            one.bind(path.name)
        finally:
            os.chdir(before)


KINDS: dict[str, Callable[[Path], object]] = {
    "a symbolic link": lambda path: path.symlink_to("x.bin"),
    "a symbolic link, broken": lambda path: path.symlink_to("nothing"),
    "a symbolic link, outside": lambda path: path.symlink_to(path.parents[3] / "outside"),
    "a symbolic link, a loop": lambda path: path.symlink_to(path.parent),
    "a pipe": os.mkfifo,
    "a socket": bind,
    "a device": lambda path: os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5)),  # /dev/zero
    "it has a name outside as well": lambda path: path.hardlink_to(path.parents[3] / "outside"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["clip/deeper/odd", "README.md", ".hidden"])
def test_what_is_no_file_of_the_bundle_alone_is_refused_with_its_name(folder: Path, where: str, kind: str) -> None:
    path = folder / where
    path.parent.joinpath("x.bin").touch()
    at = folder / "clip" / "deeper" / "odd"
    try:
        KINDS[kind](at)
    except PermissionError:
        pytest.skip("this user may make no device")
    at.rename(path)
    with pytest.raises(ValueError, match=f"'{where}': expected .*{kind.partition(',')[0]}"):
        check_entries(folder)


def test_files_folders_and_two_names_within_the_bundle_are_taken(folder: Path) -> None:
    (folder / "clip" / "same.bin").hardlink_to(folder / "clip" / "deeper" / "x.bin")
    (folder / "empty").mkdir()
    check_entries(folder)
