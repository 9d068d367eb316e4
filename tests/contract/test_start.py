"""What stops the start: one clear line that names what to change, and exit status 2, or 1 if it may succeed later.

All of it is found before torch is imported, which takes so long that whoever waits looks for the mistake elsewhere.
"""

import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.process import REPOSITORY, environment_with

from deploy.local.stack import free_port

SECONDS = 120.0
BUNDLE = REPOSITORY / "models" / "minigrid-memory"
NO_TORCH = """
import runpy, sys
class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("torch is imported", file=sys.stderr, flush=True)
            sys.exit(99)
sys.meta_path.insert(0, Refuses())
service, *sys.argv[1:] = sys.argv[1:]
runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=True)
"""


def start(service: str, settings: Mapping[str, str], *arguments: str, status: int = 2) -> list[str]:
    """The lines that a service prints when it refuses to start with this exit status. It cannot import torch."""
    names = ("SHELM_LISTEN", "SHELM_RETRIEVAL_LISTEN", "SHELM_MEMORY_LISTEN", "SHELM_INSPECTOR_LISTEN")
    free = {name: f"127.0.0.1:{free_port()}" for name in names}
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH, service, *arguments],
        env=environment_with({**free, "SHELM_LOG_LEVEL": "ERROR", **settings}),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the agent bundle, to be damaged."""
    return Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))


def test_every_bad_setting_is_named_on_a_line_of_its_own() -> None:
    bad = {
        "SHELM_LISTEN": "nowhere",
        "SHELM_MAX_IN_FLIGHT": "0",
        "SHELM_EPISODE_TTL": "-1",
        "SHELM_MAX_QUEUE": "many",
        "SHELM_LOG_LEVEL": "LOUD",
    }
    lines = start("policy", bad)
    assert len(lines) == len(bad)
    for name, value in bad.items():
        (line,) = [line for line in lines if line.startswith(f"{name}:")]
        assert repr(value) in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHELM_REDIS_URL", "nonsense"),
        ("SHELM_METRICS_LISTEN", "nonsense"),
        ("SHELM_DEVICE", "abacus"),
        ("SHELM_RETAINED_STEPS", "61"),
        ("SHELM_TOKENS_FILE", "no-such-file"),
        ("SHELM_AGENTS", "no-such-folder"),
        ("SHELM_AGENTS", "models/minigrid-memory,models/minigrid-memory"),
        ("SHELM_AGENTS", "README.md"),
        ("SHELM_ARCHIVE", "README.md/archive"),
        ("SHELM_RECORD", "ftp://somewhere"),
    ],
)
def test_a_setting_that_cannot_work_is_named_on_one_line(name: str, value: str) -> None:
    (line,) = start("policy", {name: value})
    assert line.startswith(name)


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("standalone", "SHELM_AGENTSS", "models/minigrid-memory"),
        ("standalone", "SHELM_AGENTS", "no-such-folder"),
        ("standalone", "SHELM_DTYPE", "float64"),
        ("retrieval", "SHELM_CACHE_FRAME", "1"),
        ("retrieval", "SHELM_DEVICE", "gpu"),
        ("memory", "SHELM_MEMORY_LISTN", "127.0.0.1:1"),
        ("memory", "SHELM_SLOTS", "-1"),
        ("inspector", "SHELM_INSPECTOR_TARGETS", "127.0.0.1:1"),
        ("inspector", "SHELM_INSPECTOR_TIMEOUT", "soon"),
    ],
)
def test_every_service_names_a_wrong_value_or_a_misspelt_variable(service: str, name: str, value: str) -> None:
    (line,) = start(service, {name: value})
    assert line.startswith(f"{name}: ")


@pytest.mark.parametrize("service", ["memory", "policy", "standalone"])
def test_a_redis_that_does_not_answer_is_named_before_the_long_part_of_the_start(service: str) -> None:
    away = {"SHELM_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "SHELM_LOG_LEVEL": "WARNING"}
    line, last = start(service, away, status=99)
    assert "SHELM_REDIS_URL: redis does not answer" in line
    assert last == "torch is imported"  # the service starts and waits, so that what runs may start in any order


def test_a_check_ends_at_a_redis_that_does_not_answer() -> None:
    (line,) = start("policy", {"SHELM_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}, "--check")
    assert line.startswith("SHELM_REDIS_URL: redis does not answer")
    assert start("retrieval", {}, "--check", status=0) == []


@pytest.mark.parametrize("service", ["policy", "memory"])
def test_a_redis_address_that_cannot_be_used_is_named_without_its_password(service: str) -> None:
    (line,) = start(service, {"SHELM_REDIS_URL": "redis://:first@second/third@redis:6379/0"})
    assert line.startswith("SHELM_REDIS_URL")
    assert "%2F" in line
    assert not [part for part in ("first", "second", "third") if part in line]


@pytest.mark.parametrize(
    ("service", "name"),
    [("policy", "SHELM_LISTEN"), ("retrieval", "SHELM_RETRIEVAL_LISTEN"), ("memory", "SHELM_MEMORY_LISTEN")],
)
def test_listening_beyond_this_machine_without_tokens_is_refused(service: str, name: str) -> None:
    (line,) = start(service, {name: f"0.0.0.0:{free_port()}"})
    assert "0.0.0.0" in line
    assert "SHELM_TOKENS_FILE" in line


@pytest.mark.parametrize("content", ["# none\n", "token name fly\n", "token name read\n"], ids=["empty", "scope", "no act"])
def test_a_token_file_that_cannot_work_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokens").write_text(content)
    (line,) = start("policy", {"SHELM_TOKENS_FILE": str(tmp_path / "tokens")})
    assert line.startswith("SHELM_TOKENS_FILE")


@pytest.mark.parametrize("file", ["agent.json", "policy.safetensors", "clip/open_clip_config.json"])
def test_a_missing_file_of_the_bundle_is_named(bundle: Path, file: str) -> None:
    (bundle / file).unlink()
    (line,) = start("policy", {"SHELM_AGENTS": str(bundle)})
    assert file in line
    assert "missing" in line


def test_an_altered_file_of_the_bundle_is_named(bundle: Path) -> None:
    weights = bundle / "policy.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (line,) = start("policy", {"SHELM_AGENTS": str(bundle)})
    assert "policy.safetensors" in line
    assert "altered" in line


def test_an_altered_manifest_is_named(bundle: Path) -> None:
    manifest = bundle / "agent.json"
    manifest.write_text(manifest.read_text().replace('"window": 32', '"window": 31'))
    (line,) = start("policy", {"SHELM_AGENTS": str(bundle)})
    assert "agent.json was altered" in line


@pytest.mark.parametrize(
    ("service", "name"),
    [("policy", "SHELM_LISTEN"), ("retrieval", "SHELM_METRICS_LISTEN"), ("inspector", "SHELM_INSPECTOR_LISTEN")],
)
def test_an_address_in_use_stops_the_start(service: str, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (line,) = start(service, {name: address}, status=1)
    assert line.startswith(f"{name}={address}: ")
    assert "in use" in line
