"""The libraries that the page carries are those of their npm packages, and nothing else is loaded."""

import json
import re
from pathlib import Path

import pytest

from services.inspector import assets
from services.inspector.app import STATIC

SOURCES = [path for path in STATIC.iterdir() if path.suffix in (".js", ".css", ".html")]


@pytest.mark.slow
def test_the_carried_files_are_those_of_the_pinned_packages() -> None:
    try:
        wanted = assets.carried()
    except assets.CannotFetch as error:
        pytest.skip(str(error))
    assert {name: (assets.VENDOR / name).read_bytes() for name in wanted} == wanted


def test_every_carried_file_belongs_to_a_package_with_its_licence() -> None:
    packages = json.loads((assets.VENDOR / "vendor.json").read_text())
    known = {name for one in packages for name in one["files"]}
    assert {path.name for path in assets.VENDOR.iterdir()} == known | {"vendor.json"}
    assert all(one["texts"] and set(one["texts"]) <= set(one["files"]) for one in packages)


def test_a_package_that_is_not_the_pinned_one_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    npm = tmp_path / "npm"
    npm.write_text('#!/bin/sh\nwhile [ "$1" != --pack-destination ]; do shift; done; echo other > "$2/echarts-6.1.0.tgz"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(assets.CannotFetch, match="not the pinned package"):
        assets.fetch("echarts", "6.1.0", "sha512-other")


def test_without_npm_the_reason_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(assets.CannotFetch, match="npm is not installed"):
        assets.fetch("echarts", "6.1.0", "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_page_names_no_other_host_and_reads_no_html(path: Path) -> None:
    text = path.read_text()
    assert not re.findall(r"https?://", text)
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)


def test_every_module_that_is_imported_exists() -> None:
    for path in SOURCES:
        for name in re.findall(r'(?:from|import\() ?"(\./[^"]+)"', path.read_text()):
            assert (STATIC / name).is_file(), f"{path.name} imports {name}"
