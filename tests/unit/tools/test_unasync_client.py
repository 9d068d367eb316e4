"""The client's source: the synchronous half is what the asyncio half gives, and no module imports itself in a circle."""

import ast
import shutil
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from support.process import REPOSITORY

from tools.unasync_client import BY_HAND, PACKAGE, generated, main

SOURCES = sorted(path.name for path in (PACKAGE / "aio").glob("*.py") if path.name not in BY_HAND)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package that a test may spoil."""
    return shutil.copytree(PACKAGE, tmp_path / "shelm", ignore=shutil.ignore_patterns("__pycache__"))


def check(package: Path) -> int:
    return main(["--check", "--package", str(package)])


def imports(path: Path, modules: set[str]) -> set[str]:
    """The modules of the package that a file imports: at its top, in functions, and for type checkers alone."""
    named = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            named |= whole & modules or {str(node.module)}
    return named & modules


def test_the_synchronous_client_is_what_the_asyncio_client_gives() -> None:
    assert check(PACKAGE) == 0
    assert set(SOURCES) == set(generated()) > {"client.py", "episode.py", "reader.py", "transport.py"}


def test_an_edited_module_is_found_and_generated_again(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = copy / "reader.py"
    reader.write_text(reader.read_text().replace("PAGE = 1000", "PAGE = 999"))
    assert check(copy) == 1
    assert capsys.readouterr().err == "reader.py: differs from what aio/reader.py gives; run `make client`\n"
    assert main(["--package", str(copy)]) == 0
    assert check(copy) == 0
    assert reader.read_text() == (PACKAGE / "reader.py").read_text()


def test_a_changed_source_makes_its_module_stale(copy: Path) -> None:
    source = copy / "aio" / "episode.py"
    source.write_text(source.read_text().replace("episode-{", "run-{"))
    assert check(copy) == 1


def test_a_module_that_is_missing_or_has_lost_its_source_is_found(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "client.py").unlink()
    (copy / "aio" / "steps.py").unlink()
    assert check(copy) == 1
    told = capsys.readouterr().err
    assert "client.py: differs" in told
    assert "steps.py: is generated, but aio/steps.py is gone" in told


def test_what_is_generated_says_so_and_nothing_of_asyncio_is_left() -> None:
    for name, text in generated().items():
        assert text.startswith(f"# Generated from aio/{name} by tools/unasync_client.py")
        words = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert not [word for word in words if word.startswith("Async")], name
        assert not any(word in text for word in ("await ", "async def", "async for", "async with", "shelm.aio")), name


def test_no_module_imports_itself_in_a_circle() -> None:
    root = REPOSITORY / "clients" / "python" / "src"
    paths = {".".join(path.relative_to(root).with_suffix("").parts): path for path in root.rglob("*.py")}
    paths = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    graph = {name: imports(path, set(paths)) for name, path in paths.items()}
    assert "shelm.actor" in graph["shelm.episode"]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


def test_the_sources_need_no_newer_python_than_they_promise() -> None:
    project = tomllib.loads((REPOSITORY / "clients" / "python" / "pyproject.toml").read_text())["project"]
    options = ["--quiet", "--no-tips", "--violations", f"--target={project['requires-python'].removeprefix('>=')}-"]
    command = [str(Path(sys.executable).with_name("vermin")), *options, str(PACKAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
