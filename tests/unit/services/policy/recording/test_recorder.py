"""The recorder: never in an Act's way. Storage that hangs cannot be had on demand, so a stand-in for it hangs here."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.files import files_below
from support.waiting import wait_for

from services.policy.places import BLOCK
from services.policy.recording.recorder import FRAMES, Recorder
from services.policy.recording.recordings import Recorded, Recordings

FRAME = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


class Hanging(Recordings):
    """Storage that takes no frame until it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.let, self.asked = threading.Event(), 0

    def write(self, episode_id: str, step: int, frame: np.ndarray) -> int:
        self.asked += 1
        self.let.wait(60)
        return super().write(episode_id, step, frame)


def count(outcome: str) -> float:
    value: float = FRAMES.labels(outcome)._value.get()
    return value


def names(folder: Path) -> set[str]:
    return {path.name for path in files_below(folder, ".png")}


def pictures(folder: Path) -> int:
    return len(files_below(folder, ".png"))


async def test_frames_that_find_the_queue_full_are_counted_and_do_not_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Hanging(tmp_path)
    recorder = Recorder(storage, retention=0, max_waiting=10)
    overflown, written = count("overflow"), count("written")
    recorder.start()
    started = time.monotonic()
    for step in range(100):
        recorder.put("episode", step, FRAME)
    assert time.monotonic() - started < 5
    lost = count("overflow") - overflown
    assert 100 - 10 - 4 <= lost <= 90
    assert len([line for line in caplog.messages if "were not recorded" in line]) == 1
    storage.let.set()
    await recorder.close(60)
    assert count("written") - written == 100 - lost
    assert pictures(tmp_path) == 100 - lost


async def test_the_end_does_not_wait_for_storage_that_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = Hanging(tmp_path)
    recorder = Recorder(storage, retention=0)
    recorder.start()
    for step in range(7):
        recorder.put("episode", step, FRAME)
    started = time.monotonic()
    await recorder.close(0.3)
    assert time.monotonic() - started < 30
    assert "7 frames were not recorded before the end" in caplog.text
    storage.let.set()


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    recordings = Recordings(str(tmp_path / "not yet" / "there"))
    assert recordings.read("episode", 0) is None
    for value in (0, 255):
        frame = np.full_like(FRAME, value)
        recordings.write("episode", 0, frame)  # again: replaced
        found = recordings.read("episode", 0)
        assert isinstance(found, Recorded)
        assert np.array_equal(found.frame, frame)
        assert found.frame.dtype == np.uint8
    assert [path.name for path in (tmp_path / "not yet" / "there" / "episode").iterdir()] == ["0.png"]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"not a picture"])
def test_a_file_that_is_no_whole_picture_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "episode").mkdir()
    (tmp_path / "episode" / "0.png").write_bytes(content)
    assert Recordings(str(tmp_path)).read("episode", 0) is None


def test_half_a_picture_is_none(tmp_path: Path) -> None:
    recordings = Recordings(str(tmp_path))
    recordings.write("episode", 0, np.random.default_rng(0).integers(256, size=(56, 56, 3), dtype=np.uint8))
    path = tmp_path / "episode" / "0.png"
    path.write_bytes(path.read_bytes()[:2000])
    assert recordings.read("episode", 0) is None


def test_only_old_recordings_are_swept(tmp_path: Path) -> None:
    recordings = Recordings(str(tmp_path))
    for step in range(3):
        recordings.write("episode", step, FRAME)
    assert recordings.sweep(time.time() - 60) == (0, 3 * BLOCK)
    assert recordings.sweep(time.time() + 60) == (3, 0)
    assert list(tmp_path.iterdir()) == []
    assert recordings.sweep(time.time() + 60) == (0, 0)


def test_of_too_many_bytes_the_oldest_are_swept_and_nothing_that_is_no_recording(tmp_path: Path) -> None:
    recordings = Recordings(str(tmp_path))
    (tmp_path / "mine.txt").write_bytes(bytes(100 * BLOCK))
    for step in range(6):
        recordings.write("episode", step, FRAME)
        os.utime(tmp_path / "episode" / f"{step}.png", (1000 - step, 1000 - step))  # the last one is the oldest
    assert recordings.sweep(0, 6 * BLOCK) == (0, 6 * BLOCK)
    assert recordings.sweep(0, 4 * BLOCK - 1) == (3, 3 * BLOCK)
    assert sorted(path.name for path in (tmp_path / "episode").iterdir()) == ["0.png", "1.png", "2.png"]
    assert (tmp_path / "mine.txt").exists()


async def test_the_bytes_of_all_recordings_stay_below_the_limit_and_the_newest_are_there(tmp_path: Path) -> None:
    recordings = Recordings(str(tmp_path))
    for step in range(20):  # of an earlier run
        recordings.write("old", step, FRAME)
        os.utime(tmp_path / "old" / f"{step}.png", (step, step))
    recorder = Recorder(recordings, retention=0, most_bytes=10 * BLOCK)
    recorder.start()
    for step in range(25):
        recorder.put("new", step, FRAME)
        wait_for("the frame is there", (tmp_path / "new" / f"{step}.png").exists, seconds=30)
        wait_for("no more than the limit is there", lambda: pictures(tmp_path) <= 10, seconds=30)
    await recorder.close()
    assert {f"{step}.png" for step in range(17, 25)} <= names(tmp_path / "new")
    assert not names(tmp_path / "old")


def test_the_frames_of_an_episode_are_deleted_and_no_others(tmp_path: Path) -> None:
    recordings = Recordings(str(tmp_path))
    for name in ("episode", "other"):
        for step in range(2):
            recordings.write(name, step, FRAME)
    assert recordings.delete("episode") == 2
    assert recordings.delete("episode") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
