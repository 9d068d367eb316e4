"""The sdist and wheel of shelm-client as an index would take them, and the versions that they promise to work with.

Each Python of the classifiers plays with the newest versions of everything, the oldest Python and this one with the oldest
too. A Python that this machine lacks is a skipped test.
"""

import email.message
import email.parser
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shelm
from packaging.requirements import Requirement
from packaging.version import Version
from support.deployment import Deployment
from support.environments import NEWEST, OLDEST, bare_python, client_artefacts, interpreter_of, resolved, run_alone
from support.process import REPOSITORY

CLIENT = REPOSITORY / "clients" / "python"
PROJECT: dict[str, Any] = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
PYTHONS = [word for text in PROJECT["classifiers"] for word in re.findall(r"Python :: (3\.\d+)$", text)]
THIS = f"3.{sys.version_info.minor}"
BOUNDS = {one.name: one for one in map(Requirement, PROJECT["dependencies"])}
PLAY = """
import asyncio, json, sys, warnings
warnings.simplefilter("error")
import numpy as np
from importlib.metadata import version
import shelm, shelm.cli, shelm.gym
from shelm import AsyncClient, Client
target = sys.argv[1]
with Client(target) as client, client.episode() as episode:
    shape = client.agent().observation_shape
    frame = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    acts = [episode.act(frame) for _ in range(3)]
    batch = client.act_batch({episode.episode_id: frame})
    words = [[token.text for token in step.tokens] for step in client.memory(episode.episode_id)]
    explained = episode._client.explain(episode.episode_id, 2, frame)
    episode.add_reward(1)
watched = [step.step for step in Client(target).watch_memory(episode.episode_id)]
async def play():
    async with AsyncClient(target, encoding="png") as other, other.episode() as running:
        own = [await running.act(frame) for _ in range(3)]
        again = [step.step async for step in other.watch_memory(episode.episode_id)]
        try:
            await other.resume("nobody")
        except shelm.errors.EpisodeNotFound as error:
            return [act.step for act in own], again, error.reason
print(json.dumps({
    "steps": [act.step for act in acts], "batch": batch[episode.episode_id].step, "words": len(words),
    "explained": explained.step, "watched": watched, "asyncio": asyncio.run(play()), "version": shelm.__version__,
    "versions": {name: version(name) for name in sys.argv[2:]},
}))
"""


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return client_artefacts(tmp_path_factory.mktemp("artefacts"))


@pytest.fixture(scope="module")
def server(_started: Callable[[str], Deployment]) -> Deployment:
    return _started("standalone")


def interpreter(version: str) -> Path:
    found = interpreter_of(version)
    if found is None:
        pytest.skip(f"there is no Python {version} on this machine")
    return found


def played(python: Path, server: Deployment, folder: Path, first: str = "") -> dict[str, Version]:
    """Plays with both clients, after `first`, with every warning an error; returns the versions that it was played with."""
    done = run_alone([str(python), "-I", "-c", first + PLAY, server.target, *BOUNDS], folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    versions = {name: Version(text) for name, text in told.pop("versions").items()}
    steps = [0, 1, 2]
    assert told.pop("asyncio") == [steps, [*steps, 3], "EPISODE_NOT_FOUND"]
    assert told == {
        "steps": steps, "batch": 3, "words": 4, "explained": 2, "watched": [*steps, 3], "version": shelm.__version__
    }  # fmt: skip
    return versions


def lower(name: str) -> Version:
    """The lower bound of a dependency."""
    (bound,) = [one.version for one in BOUNDS[name].specifier if one.operator == ">="]
    return Version(bound)


@pytest.mark.parametrize("version", PYTHONS)
def test_it_plays_with_the_newest_versions(
    artefacts: tuple[Path, Path], server: Deployment, tmp_path: Path, version: str
) -> None:
    python = bare_python(tmp_path / "venv", str(artefacts[1]), interpreter=interpreter(version), options=NEWEST)
    versions = played(python, server, tmp_path)
    assert all(versions[name] in one.specifier for name, one in BOUNDS.items())


@pytest.mark.parametrize("version", sorted({PYTHONS[0], THIS}))
def test_it_plays_with_the_oldest_versions(
    artefacts: tuple[Path, Path], server: Deployment, tmp_path: Path, version: str
) -> None:
    asked = [f"{artefacts[1]}[cli]", *PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cli"]]
    python = bare_python(tmp_path / "venv", *asked, interpreter=interpreter(version), options=OLDEST)
    versions = played(python, server, tmp_path)
    if version == PYTHONS[0]:  # a newer Python has no wheels of the oldest numpy and pillow
        assert versions == {name: lower(name) for name in BOUNDS}
    completion = run_alone([str(python.with_name("shelm")), "--print-completion", "bash"], tmp_path)
    assert (completion.returncode, completion.stderr) == (0, "")
    coloured = run_alone([str(python.with_name("shelm")), "agents"], tmp_path, SHELM_TARGET=server.target)
    assert (coloured.returncode, coloured.stderr) == (0, "")


def test_the_bound_is_that_of_the_generated_stubs_which_ask_for_no_version() -> None:
    stubs = sorted((CLIENT / "src" / "shelm" / "v1").glob("*_pb2*.py"))
    texts = {path.name: path.read_text() for path in stubs}
    assert not [name for name, text in texts.items() if "ValidateProtobufRuntimeVersion" in text or "GRPC_GENERATED" in text]
    made = {Version(found) for text in texts.values() for found in re.findall(r"Protobuf Python Version: (.+)", text)}
    assert {one.release[:2] for one in made} == {lower("protobuf").release[:2]}


@pytest.mark.parametrize("tensorflow", ["2.15.0", "2.19.0"])
def test_it_can_be_installed_beside_tensorflow(artefacts: tuple[Path, Path], tensorflow: str) -> None:
    found = resolved(f"shelm-client @ {artefacts[1].as_uri()}", f"tensorflow=={tensorflow}", python="3.11")
    assert found["tensorflow"] == tensorflow
    assert all(Version(found[name]) in one.specifier for name, one in BOUNDS.items())


@pytest.mark.long  # a quarter of a gigabyte each
@pytest.mark.parametrize("tensorflow", ["2.15", "2.19"])
def test_it_plays_in_a_process_that_imported_tensorflow_first(
    artefacts: tuple[Path, Path], server: Deployment, tmp_path: Path, tensorflow: str
) -> None:
    python = bare_python(
        tmp_path / "venv", str(artefacts[1]), f"tensorflow-cpu=={tensorflow}.*", interpreter=interpreter("3.11")
    )
    versions = played(python, server, tmp_path, first="import tensorflow\n")
    assert all(versions[name] in one.specifier for name, one in BOUNDS.items())


def test_an_index_takes_both_artefacts(artefacts: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *map(str, artefacts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_the_metadata_says_what_an_index_shows(artefacts: tuple[Path, Path]) -> None:
    (name,) = [name for name in zipfile.ZipFile(artefacts[1]).namelist() if name.endswith("/METADATA")]
    told: email.message.Message = email.parser.BytesParser().parsebytes(zipfile.ZipFile(artefacts[1]).read(name))
    assert (told["Version"], told["License-Expression"], told["License-File"]) == (
        shelm.__version__,
        "Apache-2.0",
        "LICENSE",
    )
    assert told["Requires-Python"] == f">={PYTHONS[0]}"
    assert told["Description-Content-Type"] == "text/markdown"
    assert told["Keywords"]
    assert all(".invalid" in address for address in told.get_all("Project-URL", []))
    assert "](../" not in str(told.get_payload()), "a link within the repository leads nowhere on an index"


def test_both_artefacts_are_whole_and_licensed(artefacts: tuple[Path, Path]) -> None:
    sdist, wheel = artefacts
    licence = (REPOSITORY / "LICENSE").read_bytes()
    sources = {path.relative_to(CLIENT / "src").as_posix() for path in (CLIENT / "src" / "shelm").rglob("*.py*")}
    wanted = {path for path in sources if "__pycache__" not in path} | {"shelm/py.typed"}
    with tarfile.open(sdist) as packed:
        root = sdist.name.removesuffix(".tar.gz")
        names = {name.removeprefix(f"{root}/") for name in packed.getnames()}
        assert {"LICENSE", "README.md", "pyproject.toml", *(f"src/{path}" for path in wanted)} <= names
        assert (text := packed.extractfile(f"{root}/LICENSE")) is not None
        assert text.read() == licence
    with zipfile.ZipFile(wheel) as zipped:
        assert wanted <= set(zipped.namelist())
        (name,) = [name for name in zipped.namelist() if name.endswith("licenses/LICENSE")]
        assert zipped.read(name) == licence


def test_the_server_has_the_same_version() -> None:
    server = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    place = server["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    module, _, name = place.rpartition(".")
    assert (REPOSITORY / f"{module.replace('.', '/')}.py").samefile(CLIENT / "src" / "shelm" / "version.py")
    assert (name, "version" in server["project"], "version" in PROJECT) == ("__version__", False, False)
