"""`Shared`: replicas that keep the index for each other read each episode once, and count each once."""

import random
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.archived import Episode, episode

from services.policy.archive import index as index_module
from services.policy.archive import shared
from services.policy.archive.archive import Archive
from services.policy.archive.index import ArchiveIndex
from services.policy.archive.segments import Segments
from services.protocol.queries import Search

Replica = Callable[[], ArchiveIndex]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "archive"))


@pytest.fixture
async def replica(tmp_path: Path, archive: Archive) -> AsyncIterator[Replica]:
    """Starts a replica that has nothing of its own yet."""
    made = list[ArchiveIndex]()

    def start() -> ArchiveIndex:
        made.append(ArchiveIndex(archive, str(tmp_path / f"replica-{len(made)}"), shared=str(tmp_path / "archive")))
        return made[-1]

    yield start
    for one in made:
        await one.close()


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """Where the files of the index are."""
    return tmp_path / "archive" / "index" / "1"


def files(bucket: Path) -> list[str]:
    return sorted(file.name for file in bucket.glob("*"))


def read(index: ArchiveIndex) -> int:
    """Refreshes; returns how many episodes were read one by one."""
    counts = list[int]()
    index.refresh(counts.append)
    return sum(counts)


async def found(index: ArchiveIndex) -> list[str]:
    """The names of the episodes that are found, which are those that are counted."""
    names = sorted(name for _, name in await index.search(Search(), None, 10_000, newest=True, tenant=None))
    counted = await index.compare(Search(), [], 10, tenant=None)
    assert counted.succeeded + counted.failed == len(names)
    return names


def many(count: int, *, named: str = "e") -> list[Episode]:
    return [episode(f"{named}{i}", [["ball"], [f"{named} saw {i}"]], total_reward=float(i % 2)) for i in range(count)]


def keep(archive: Archive, episodes: list[Episode]) -> list[str]:
    """Archives them; returns their names."""
    for one in episodes:
        archive.write(*one)
    return sorted(state.episode_id for state, *_ in episodes)


async def test_a_replica_that_starts_reads_the_episodes_that_are_in_no_file_yet_and_no_others(
    archive: Archive, replica: Replica
) -> None:
    names = keep(archive, many(50))
    assert read(replica()) == 50
    names += keep(archive, many(3, named="later"))
    second, third = replica(), replica()
    assert (read(second), read(third)) == (3, 0)
    for one in (second, third):
        assert await found(one) == sorted(names)


async def test_what_a_replica_archives_others_take_over_without_reading_it(archive: Archive, replica: Replica) -> None:
    first, second = replica(), replica()
    for one in many(5):
        archive.write(*one)
        first.add(*one)
    first.flush()
    assert (read(first), read(second)) == (0, 0)
    assert await found(second) == [f"e{i}" for i in range(5)]


async def test_replicas_that_start_at_the_same_time_share_the_reading(
    archive: Archive, replica: Replica, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "BATCH", 10)
    names = keep(archive, many(200))
    both = replica(), replica()
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(read, both)) < 300  # not twice 200
    for one in both:
        read(one)
        assert await found(one) == names


async def test_replicas_that_work_at_the_same_time_agree_in_the_end(
    archive: Archive, replica: Replica, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.policy.archive.files.MOST", 3)  # so that they replace files all the time
    replicas, there, errors = [replica() for _ in range(3)], set[str](), list[BaseException]()
    lock = threading.Lock()

    def work(number: int) -> None:
        choose = random.Random(number)
        for turn in range(12):
            for one in many(choose.randrange(6), named=f"r{number}-{turn}-"):
                archive.write(*one)
                replicas[number].add(*one)
                with lock:
                    there.add(one[0].episode_id)
            if choose.random() < 0.4:
                with lock:
                    gone = choose.choice(sorted(there or {""}))
                    there.discard(gone)
                archive.delete(gone)
                replicas[number].remove(gone)
            replicas[number].flush()
            replicas[number].refresh()

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    monkeypatch.setattr(shared, "LONG", 0.0)  # what is of no use goes at once
    for _ in range(3):
        for one in replicas:
            one.refresh()
    for one in (*replicas, fresh := replica()):
        if one is fresh:
            assert read(one) == 0
        assert await found(one) == sorted(there)
    assert len(files(bucket)) <= 6
    assert sum(int(name.split("-")[1]) for name in files(bucket)) == len(there)  # each once


async def test_of_two_files_with_an_episode_the_newer_counts_and_the_other_goes(
    archive: Archive, replica: Replica, bucket: Path, tmp_path: Path
) -> None:
    names = keep(archive, many(20))
    read(replica())
    (older,) = files(bucket)
    kept = (bucket / older).read_bytes()
    (bucket / older).unlink()
    read(replica())  # another file of the same episodes
    (newer,) = files(bucket)
    (bucket / older).write_bytes(kept)  # as if both had written at the same time
    for third in (replica(), replica()):
        assert read(third) == 0
        assert await found(third) == names
        assert files(bucket) == [newer]


async def test_an_outcome_that_is_told_late_reaches_other_replicas(archive: Archive, replica: Replica) -> None:
    first, second = replica(), replica()
    keep(archive, many(20))
    assert (read(first), read(second)) == (20, 0)
    late = episode("e0", [["ball"]], total_reward=7.0)
    archive.write(*late)
    first.add(*late)
    first.flush()
    assert (read(first), read(second)) == (0, 0)
    for one in (first, second):
        counted = await one.compare(Search(), [], 1, tenant=None)
        assert (counted.succeeded, counted.failed) == (11, 9)


async def test_files_that_a_rule_of_the_bucket_deletes_are_written_again_from_the_copy(
    archive: Archive, replica: Replica, bucket: Path
) -> None:
    names, first = keep(archive, many(20)), replica()
    read(first)
    for name in files(bucket):
        (bucket / name).unlink()
    assert read(first) == 0
    assert read(second := replica()) == 0
    assert await found(second) == names


async def test_a_file_that_is_gone_before_it_was_read_stops_nothing(
    archive: Archive, replica: Replica, bucket: Path
) -> None:
    names = keep(archive, many(20))
    read(replica())
    gone = f"{10**19:020}-5-01234567.parquet"
    (bucket / gone).symlink_to(bucket / "nowhere")  # it is in the list, and cannot be read
    assert read(second := replica()) == 0
    assert await found(second) == names


@pytest.mark.parametrize("damage", ["end", "empty", "other"])
async def test_a_damaged_file_of_the_bucket_is_made_again(
    archive: Archive, replica: Replica, bucket: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = keep(archive, many(20))
    read(replica())
    (name,) = files(bucket)
    whole = (bucket / name).read_bytes()
    (bucket / name).write_bytes({"end": whole[: len(whole) // 2], "empty": b"", "other": b"PAR1" + whole}[damage])
    assert read(second := replica()) == 20
    assert await found(second) == names
    assert name not in files(bucket)
    assert len([one for one in caplog.messages if "cannot be read" in one]) == 1
    assert read(replica()) == 0


async def test_names_that_are_none_of_ours_are_left_alone(archive: Archive, replica: Replica, bucket: Path) -> None:
    keep(archive, many(3))
    read(replica())
    others = ["README", "x.parquet", f"{1:020}-0-01234567.parquet"]
    for name in others:
        (bucket / name).write_text("of somebody else")
    assert read(replica()) == 0
    assert set(others) < set(files(bucket))


@pytest.mark.parametrize("deleted", [1, 30])
async def test_a_deleted_episode_leaves_the_bucket_at_once_if_there_are_many_and_else_after_some_time(
    archive: Archive, replica: Replica, bucket: Path, deleted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, first = keep(archive, many(100)), replica()
    read(first)
    before = files(bucket)
    for i in range(deleted):
        archive.delete(f"e{i}")
    read(first)
    assert await found(first) == sorted(set(names) - {f"e{i}" for i in range(deleted)})
    assert (files(bucket) == before) == (deleted == 1)
    monkeypatch.setattr(shared, "LONG", 0.0)
    read(first)
    assert files(bucket) != before
    rows = Segments(bucket)
    assert len(rows.paths()) == 100 - deleted
    assert rows.look(lambda view: view.rows(f"SELECT name FROM {view.table} WHERE list_contains(seen, 'e saw 0')", ())) == []
    rows.close()
