"""A folder has one owner; the lock lasts as long as any process holds it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.folder_lock import NAME, FolderInUse, holds_lock, lock_folder, main


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[int]:
    """A lock on tmp_path."""
    lock = lock_folder(tmp_path, seconds=0)
    yield lock
    os.close(lock)


def test_a_locked_folder_is_refused_with_the_owners_process_id(tmp_path: Path, locked: int) -> None:
    with pytest.raises(FolderInUse, match=f"in use by process {os.getpid()}$"):
        lock_folder(tmp_path, seconds=60)  # the owner lives, so nobody waits


def test_a_copy_that_a_child_has_inherited_keeps_the_lock(tmp_path: Path) -> None:
    first = lock_folder(tmp_path, seconds=0)
    inherited = os.dup(first)
    os.close(first)
    with pytest.raises(FolderInUse):
        lock_folder(tmp_path, seconds=0)
    os.close(inherited)
    os.close(lock_folder(tmp_path, seconds=0))


def test_an_owner_that_has_ended_is_waited_for(tmp_path: Path, locked: int) -> None:
    (tmp_path / NAME).write_text(str(2**22 + 1))  # above the highest process id
    with pytest.raises(FolderInUse, match="4194305"):
        lock_folder(tmp_path, seconds=0.2)


def test_what_an_earlier_owner_wrote_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("12345678901234")
    os.close(lock_folder(tmp_path, seconds=0))
    assert (tmp_path / NAME).read_text() == str(os.getpid())


def test_a_process_without_the_lock_is_not_one_of_the_stack(tmp_path: Path, locked: int) -> None:
    assert holds_lock(os.getpid(), tmp_path, locked)
    if Path("/proc/self/fd").exists():
        assert not holds_lock(os.getppid(), tmp_path, locked)


def test_the_command_is_refused_with_the_folder(tmp_path: Path, locked: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(str(tmp_path), "/bin/false")
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{tmp_path}: the folder is in use by process {os.getpid()}\n"
