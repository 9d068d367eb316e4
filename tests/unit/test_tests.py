"""The tests themselves: tests/unit mirrors the source tree and starts no server, so that `make test-fast` stays fast."""

import ast
from pathlib import Path

import pytest
from support.process import REPOSITORY

UNIT = REPOSITORY / "tests" / "unit"
FILES = sorted(UNIT.rglob("test_*.py"))
MOVED = {("clients", "python"): ("clients", "python", "src", "shelm")}  # the one package that lies deeper
# What starts a Redis, a service or a browser.
STARTERS = {
    *("support.deployment", "support.newcomer", "support.pods", "support.redis_cluster", "support.stored"),
    "deploy.local.redis_server",
}
FIXTURES = {"deployment", "gateway", "replica", "cramped"}


def place_of(folder: Path) -> Path:
    """The source folder, or the module without its ending, that a folder of tests/unit mirrors."""
    parts = folder.relative_to(UNIT).parts
    for here, there in MOVED.items():
        if parts[: len(here)] == here:
            parts = there + parts[len(here) :]
    return REPOSITORY.joinpath(*parts)


def plain(name: str) -> str:
    """A file's name as that of its test has it: Dockerfile -> dockerfile, docker-compose.yml -> docker_compose."""
    return name.partition(".")[0].lower().replace("-", "_")


def has_counterpart(test: Path) -> bool:
    """Whether the test of this path has something to test: test_x an x beside it, or its folder is a module itself."""
    place = place_of(test.parent)
    if place.with_suffix(".py").is_file():
        return True
    return place.is_dir() and plain(test.name.removeprefix("test_")) in {plain(one.name) for one in place.iterdir()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(UNIT)))
def test_every_test_stands_where_what_it_tests_stands(path: Path) -> None:
    assert has_counterpart(path)


@pytest.mark.parametrize("name", ["agent/test_frames.py", "agent/frames/test_x.py", "test_unknown.py", "shelm/test_act.py"])
def test_a_test_of_nothing_is_found(name: str) -> None:
    assert not has_counterpart(UNIT / name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(UNIT)))
def test_no_unit_test_starts_a_server(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    asked = {argument.arg for node in nodes if isinstance(node, ast.FunctionDef) for argument in node.args.args}
    assert not imported & STARTERS
    assert not asked & FIXTURES
