"""What make serve and make demo keep: bounded in their own folder, and as the caller says where the caller says anything."""

from pathlib import Path

import pytest

from deploy.local.kept import FRAMES_BYTES, kept_in


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHELM_ARCHIVE", "SHELM_RECORD", "SHELM_RECORD_BYTES"):
        monkeypatch.delenv(name, raising=False)


def test_episodes_and_a_bounded_number_of_frames_are_kept_in_the_folder(tmp_path: Path) -> None:
    assert kept_in(tmp_path) == {
        "SHELM_ARCHIVE": str(tmp_path / "archive"),
        "SHELM_RECORD": str(tmp_path / "frames"),
        "SHELM_RECORD_BYTES": str(FRAMES_BYTES),
    }


@pytest.mark.parametrize("place", ["/elsewhere", ""])
def test_a_place_of_the_callers_is_neither_changed_nor_bounded(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELM_RECORD", place)
    assert kept_in(tmp_path) == {"SHELM_ARCHIVE": str(tmp_path / "archive")}


def test_a_bound_of_the_callers_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELM_RECORD_BYTES", "1000")
    monkeypatch.setenv("SHELM_ARCHIVE", "")
    assert kept_in(tmp_path) == {"SHELM_RECORD": str(tmp_path / "frames"), "SHELM_RECORD_BYTES": "1000"}
