"""The archive in a folder: what is read is what was written, whatever else lies there."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.history import empty_history
from agent.vocabulary import Word
from services.policy.archive.archive import Archive
from services.protocol.values import CommittedStep, EpisodeState

AGENT = "a" * 64
STEPS = [
    CommittedStep(
        words=(Word(step, f"word-{step}", 0.5), Word(7, "door", -0.25)),
        action=step,
        value=0.5,
        log_prob=-1.5,
        frame_fingerprint=bytes([step] * 16),
        history_digest=bytes([100 + step] * 16),
        time_us=1_000_000 + step,
    )
    for step in range(3)
]


def ended(name: str = "episode", *, created: int = 1_000_001) -> EpisodeState:
    """The state of an episode of three steps that has ended."""
    return EpisodeState(
        episode_id=name,
        agent="tiny",
        agent_digest=AGENT,
        seed=2**63 - 1,
        deterministic=True,
        committed=2,
        history_digest=STEPS[-1].history_digest,
        length=6,
        ended=True,
        total_reward=-0.5,
        created_us=created,
        updated_us=created + 5,
        archived=True,
    )


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path))


@pytest.mark.parametrize("first", [0, 1])
def test_what_is_read_is_what_was_written(archive: Archive, first: int) -> None:
    assert archive.read("episode") is None
    archive.write(replace(ended(), ttl_ms=5000, archived=False), first, STEPS[first:])
    assert archive.read("episode") == (ended(), first, STEPS[first:])


def test_an_episode_without_steps_and_reward(archive: Archive) -> None:
    empty = replace(ended(), committed=-1, length=0, total_reward=None, history_digest=empty_history(AGENT))
    archive.write(empty, 0, [])
    assert archive.read("episode") == (empty, 0, [])


def test_of_several_lives_of_a_name_the_newest_is_read_and_all_are_deleted(archive: Archive) -> None:
    for created in (9, 10, 8):
        archive.write(ended(created=created), 0, STEPS)
    found = archive.read("episode")
    assert found
    assert found[0].created_us == 10
    archive.remove(ended(created=10))
    found = archive.read("episode")
    assert found
    assert found[0].created_us == 9
    assert archive.delete("episode") == 2
    assert archive.delete("episode") == 0
    assert archive.read("episode") is None


def test_pages_hold_every_episode_once(archive: Archive) -> None:
    names = {f"episode-{i}" for i in range(25)} | {"..", "a.b", "a:b"}
    for name in names:
        archive.write(ended(name, created=1), 0, STEPS)
        archive.write(ended(name, created=2), 0, STEPS)
    found, token, pages = [], "", 0
    while token or not pages:
        token, states = archive.page(token, 7)
        assert len(states) <= 7
        found += states
        pages += 1
    assert sorted(state.episode_id for state in found) == sorted(names)
    assert {state.created_us for state in found} == {2}


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"])
def test_a_damaged_file_hurts_itself_alone(
    archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    for name in ("good", "bad"):
        archive.write(ended(name), 0, STEPS)
    (file,) = tmp_path.glob("*/bad/*.gz")
    file.write_bytes(content)
    assert archive.read("bad") is None
    assert "of the archive cannot be read" in caplog.text
    assert [state.episode_id for state in archive.page("", 10)[1]] == ["good"]


def test_an_older_life_is_read_where_the_newest_is_damaged(archive: Archive, tmp_path: Path) -> None:
    for created in (1, 2):
        archive.write(ended(created=created), 0, STEPS)
    (file,) = tmp_path.glob("*/episode/2.gz")
    file.write_bytes(file.read_bytes()[:-9])
    found = archive.read("episode")
    assert found
    assert found[0].created_us == 1


def test_other_files_are_left_alone(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "1.gz").write_bytes(b"")
    archive.write(ended(), 0, STEPS)
    (shard,) = tmp_path.glob("???/episode")
    (shard / "notes.txt").write_text("")
    assert [state.episode_id for state in archive.page("", 10)[1]] == ["episode"]
    assert archive.delete("episode") == 1
    assert (shard / "notes.txt").exists()


def test_the_same_episode_gives_the_same_bytes(archive: Archive, tmp_path: Path) -> None:
    files = []
    for _ in range(2):
        archive.write(ended(), 0, STEPS)
        (file,) = tmp_path.glob("*/*/*.gz")
        files.append(file.read_bytes())
    assert files[0] == files[1]
