"""Places: files in a folder. (S3 is tried against a real server in tests/contract.)"""

from pathlib import Path

import pytest

from services.policy.places import Place, check_place, episode_of, folder_of


@pytest.mark.parametrize("name", ["episode", "a.b", ".", "..", ".hidden", "run:7", "a_-", "..%2E"])
def test_every_name_of_an_episode_is_a_folder_of_its_own(name: str) -> None:
    folder = folder_of(name)
    assert folder not in (".", "..")
    assert "/" not in folder
    if "%" not in name:  # which no episode's name has
        assert episode_of(folder) == name


def test_a_file_that_is_written_can_be_read_replaced_listed_and_removed(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "not yet"))
    assert place.read("a/b") is None
    assert place.names() == place.names("a") == []
    assert not place.remove("a/b")
    for data in (b"first", b"second"):
        place.write("a/b", data)
        assert place.read("a/b") == data
    place.write("a/c", b"")
    assert (place.names(), place.names("a")) == (["a"], ["b", "c"])
    assert place.files().keys() == {"a/b", "a/c"}
    assert place.remove("a/b")
    assert not place.remove("a/b")
    assert place.remove("a/c")
    assert place.names() == []  # the folder goes with its last file


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    (tmp_path / "a" / "b").mkdir(parents=True)  # where the file should be
    (tmp_path / "a" / "b" / "inside").write_text("")
    with pytest.raises(OSError, match=r"."):
        place.write("a/b", b"data")
    assert place.names("a") == ["b"]


@pytest.mark.parametrize("place", ["", "frames", "/data/frames", "s3://bucket", "s3://bucket/some/prefix"])
def test_places_that_can_be(place: str) -> None:
    assert check_place(place) == place


@pytest.mark.parametrize("place", ["s3://", "s3:///", "http://host/x", "file:///x", "gs://bucket"])
def test_places_that_cannot_be(place: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        check_place(place)
