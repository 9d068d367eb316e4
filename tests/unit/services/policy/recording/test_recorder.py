"""The recorder: never in an Act's way. Storage that hangs cannot be had on demand, so a stand-in for it hangs here."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from services.policy.recording.recorder import FRAMES, Recorder
from services.policy.recording.recordings import Recorded, Recordings

FRAME = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


class Hanging(Recordings):
    """Storage that takes no frame until it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.let, self.asked = threading.Event(), 0

    def write(self, episode_id: str, step: int, frame: np.ndarray) -> None:
        self.asked += 1
        self.let.wait(60)
        super().write(episode_id, step, frame)


def count(outcome: str) -> float:
    value: float = FRAMES.labels(outcome)._value.get()
    return value


def pictures(folder: Path) -> int:
    return len(list(folder.rglob("*.png")))


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
    assert recordings.sweep(time.time() - 60) == 0
    assert recordings.sweep(time.time() + 60) == 3
    assert list(tmp_path.iterdir()) == []
    assert recordings.sweep(time.time() + 60) == 0


def test_the_frames_of_an_episode_are_deleted_and_no_others(tmp_path: Path) -> None:
    recordings = Recordings(str(tmp_path))
    for name in ("episode", "other"):
        for step in range(2):
            recordings.write(name, step, FRAME)
    assert recordings.delete("episode") == 2
    assert recordings.delete("episode") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
