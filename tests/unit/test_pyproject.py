"""The contracts of import-linter catch an import that runs against the rooms of docs/architecture.md."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.process import REPOSITORY

ROOMS = ("agent", "services", "training", "deploy", "tools", "benchmarks", "clients/python/src")
PLANTED = {
    "agent/frame.py": "import grpc",
    "agent/memory/slots.py": "from asyncio import Lock",
    "agent/history.py": "import agent.memory.slots",  # which imports it
    "training/memory.py": "import services.runtime.errors",
    "clients/python/src/shelm/retry.py": "import agent.frame",
    "services/policy/actor.py": "import redis",
    "services/memory/engine.py": "import tritonclient.grpc",
    "services/retrieval/service.py": "import services.memory.service",
    "services/store/keys.py": "import services.policy.errors",
    "services/protocol/fields.py": "import services.store.keys",
    "services/runtime/batching.py": "import agent.frame",
    "deploy/local/stack.py": "import services.runtime.settings",
    "services/inspector/api.py": "import tools.network",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources, for planting."""
    folder = tmp_path_factory.mktemp("rooms")
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for room in ROOMS:
        shutil.copytree(REPOSITORY / room, folder / room, ignore=lambda _, names: _not_python(names))
    return folder


def _not_python(names: list[str]) -> list[str]:
    return [name for name in names if "." in name and not name.endswith(".py")] + ["__pycache__", "node_modules", "static"]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    places = {"PYTHONPATH": f"{folder}:{folder / 'clients/python/src'}"}
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, env=os.environ | places, capture_output=True, text=True, check=False)


def test_every_room_imports_only_what_it_may(copy: Path) -> None:
    result = lint_imports(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", PLANTED)
def test_an_import_against_the_rooms_is_found(copy: Path, name: str) -> None:
    path = copy / name
    before = path.read_text()
    try:
        path.write_text(f"{before}\n{PLANTED[name]}\n")
        result = lint_imports(copy)
    finally:
        path.write_text(before)
    assert result.returncode == 1
    module = Path(name).stem
    assert f"{module} ->" in result.stdout
