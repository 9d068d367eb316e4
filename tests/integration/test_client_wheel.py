"""The wheel of shelm-client, alone in a bare environment: it plays, it is typed, and its extras add what they say."""

import json
import sys
import zipfile
from pathlib import Path

import pytest
from shelm import Client
from support.deployment import Deployment
from support.environments import bare_python, client_wheel, run_alone

LARGEST = 175_000  # bytes: it is installed beside simulators, often
HEAVY = {
    "torch",
    "gymnasium",
    "rich",
    "argcomplete",
    "msgpack",
    "websockets",
    "matplotlib",
    "av",
    "rerun",
    "services",
    "grpc_health",
}
PLAY = """
import asyncio, json, sys
import numpy as np
from shelm import AsyncClient, Client, RemotePolicy
import shelm.cli, shelm.gym
target = sys.argv[1]
with Client(target) as client, client.episode() as episode:
    frame = np.zeros(client.agent().observation_shape, np.uint8)
    acts = [episode.act(frame) for _ in range(3)]
    episode.add_reward(1)
async def last():
    async with AsyncClient(target) as other:
        return [step.step async for step in other.memory(episode.episode_id)][-1]
modules = sorted({name.partition(".")[0] for name in sys.modules})
steps = [act.step for act in acts]
print(json.dumps({"episode": episode.episode_id, "steps": steps, "last": asyncio.run(last()), "modules": modules}))
"""
TYPED = """
from shelm import Client
action: str = Client().act(None, "episode").value
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return client_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_python(tmp_path_factory.mktemp("bare") / "venv", str(wheel))


def test_the_wheel_is_small_and_says_that_it_is_typed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "shelm/py.typed",
        "shelm/v1/agent_pb2.pyi",
        "shelm/aio/client.py",
        "shelm/cli/__main__.py",
        "shelm/notebook.html",
    } <= set(names)
    assert all(name.startswith(("shelm/", "shelm_client-")) for name in names)
    assert wheel.stat().st_size < LARGEST


def test_both_clients_work_with_nothing_else_installed(python: Path, deployment: Deployment, tmp_path: Path) -> None:
    done = run_alone([str(python), "-I", "-c", PLAY, deployment.target], tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["steps"], told["last"]) == ([0, 1, 2], 2)
    assert not HEAVY & set(told["modules"])
    with Client(deployment.target) as client:
        episode = client.get_episode(told["episode"])
    assert (episode.ended, episode.total_reward) == (True, 1.0)


def test_the_command_works_alone_and_names_the_extra_that_it_lacks(
    python: Path, deployment: Deployment, tmp_path: Path
) -> None:
    shelm = str(python.with_name("shelm"))
    listed = run_alone([shelm, "ping", "--act"], tmp_path, SHELM_TARGET=deployment.target)
    assert (listed.returncode, listed.stderr) == (0, "")
    play = run_alone([shelm, "play"], tmp_path, SHELM_TARGET=deployment.target)
    completion = run_alone([shelm, "--print-completion", "bash"], tmp_path)
    video, rerun = (
        run_alone([shelm, "export", "@last", "--format", name], tmp_path, SHELM_TARGET=deployment.target)
        for name in ("mp4", "rrd")
    )
    openpi = run_alone([str(python), "-m", "shelm.openpi"], tmp_path)
    lacking = {"gymnasium": play, "cli": completion, "openpi": openpi, "video": video, "rerun": rerun}
    for extra, done in lacking.items():
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert f'pip install "shelm-client[{extra}]"' in done.stderr


def test_a_type_checker_sees_the_types(python: Path, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(TYPED)
    options = ["--python-executable", str(python), "--cache-dir", str(tmp_path / "cache")]
    done = run_alone([sys.executable, "-m", "mypy", *options, "code.py"], tmp_path)
    assert '"float", variable has type "str"' in done.stdout


def test_the_extra_cli_brings_colours_and_completion(wheel: Path, python: Path, tmp_path: Path) -> None:
    extra = bare_python(tmp_path / "venv", f"{wheel}[cli]")
    done = run_alone([str(extra.with_name("shelm")), "--print-completion", "bash"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "complete" in done.stdout
    assert run_alone([str(extra), "-c", "import rich"], tmp_path).returncode == 0
