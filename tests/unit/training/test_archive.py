"""Archives of raw results: what is added is there, the rest stays, and writers do not disturb one another."""

import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from training.archive import add, main, read


def test_a_name_gets_its_new_text_and_the_others_keep_theirs(tmp_path: Path) -> None:
    archive = tmp_path / "new" / "study.tar.xz"
    assert read(archive) == {}
    add(archive, {"b/log.jsonl": "one\n", "a/run.json": "{}"})
    add(archive, {"b/log.jsonl": "Grün\r\n"})
    assert list(read(archive).items()) == [("a/run.json", "{}"), ("b/log.jsonl", "Grün\r\n")]
    assert list(archive.parent.iterdir()) == [archive]


def test_the_same_texts_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "1.tar.xz", tmp_path / "2.tar.xz"
    add(first, {"a": "1", "b": "2"})
    add(second, {"b": "2"})
    add(second, {"a": "1"})
    assert first.read_bytes() == second.read_bytes()


def test_writers_side_by_side_lose_nothing(tmp_path: Path) -> None:
    archive, names = tmp_path / "study.tar.xz", [f"{i}.json" for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: add(archive, {name: name}), names))
    assert read(archive) == {name: name for name in sorted(names)}


def test_the_command_adds_files_under_their_own_or_a_given_name(tmp_path: Path) -> None:
    archive, file = tmp_path / "study.tar.xz", tmp_path / "evaluation.json"
    file.write_text("{}")
    main([str(archive), str(file), f"minigrid/S11.json={file}"])
    assert read(archive) == {"evaluation.json": "{}", "minigrid/S11.json": "{}"}


def test_what_is_no_archive_is_refused_and_left_alone(tmp_path: Path) -> None:
    archive = tmp_path / "study.tar.xz"
    archive.write_text("nothing of the kind")
    with pytest.raises(tarfile.TarError):
        add(archive, {"a": "1"})
    assert archive.read_text() == "nothing of the kind"
