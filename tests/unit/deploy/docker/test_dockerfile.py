"""The Dockerfiles: linted, pinned, and each image holds what its service imports and nothing it does not need.

`make images-check` carries the Dockerfile out step by step; what is here takes seconds.
"""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import shelm
from packaging.utils import canonicalize_name
from support.images import DOCKERFILES, STAGES, distributions, imports
from support.process import REPOSITORY

from tools.image_check.stages import (
    Copy,
    ancestry,
    command,
    ignore_patterns,
    in_context,
    last,
    parse_copy,
    read_stages,
)
from tools.packages import LISTS, installed, listed

LINTER = Path(sysconfig.get_path("scripts")) / "hadolint"
SERVICES = [image for image in LISTS if image != "inspector"]  # which has tests of its own
LOCKS = [*REPOSITORY.glob("requirements*.txt"), REPOSITORY / "deploy" / "docker" / "requirements-pip.txt"]
# Looked for by fsspec, redis and transformers themselves.
NOT_IMPORTED = {"s3fs", "hiredis", "gguf", "accelerate"}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_the_linter_finds_nothing(dockerfile: Path) -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "hadolint", dockerfile], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_mistake_is_found_by_the_linter(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\nRUN cd /tmp\n")
    assert subprocess.run([LINTER, tmp_path / "Dockerfile"], capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("target", LISTS)
def test_every_package_of_an_image_is_pinned_by_the_lock(target: str) -> None:
    lock = {
        canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", (REPOSITORY / "requirements.txt").read_text(), re.M)
    }
    assert installed(target) <= lock


@pytest.mark.parametrize("name", ["policy", "retrieval", "memory"])
def test_the_lists_name_no_versions_for_the_lock_has_them(name: str) -> None:
    assert not [str(one) for one in listed(name).values() if one.specifier]
    stages = [stage for stage in STAGES.values() if any(f"requirements-{name}.in" in run for run in stage.values("RUN"))]
    assert stages
    for stage in stages:
        assert all("-c /opt/shelm/requirements.txt" in run for run in stage.values("RUN"))


@pytest.mark.parametrize("service", SERVICES)
def test_everything_a_service_imports_is_in_its_image(service: str) -> None:
    packages, held = distributions(), installed(service)
    missing = {name for name in imports(service) if not held & {canonicalize_name(one) for one in packages.get(name, [])}}
    assert not missing


@pytest.mark.parametrize("service", ["policy", "retrieval", "memory"])
def test_every_listed_package_is_imported(service: str) -> None:
    packages = distributions()
    used = {canonicalize_name(one) for name in imports(service) for one in packages.get(name, [])}
    own = set(listed(service)) - (set(listed("policy")) if service != "policy" else set())
    assert own - NOT_IMPORTED <= used


def test_the_policy_image_holds_neither_clip_nor_a_language_model() -> None:
    assert not installed("policy") & {"open-clip-torch", "torchvision", "timm", "transformers", "tokenizers", "gguf"}


@pytest.mark.parametrize("target", SERVICES)
def test_an_image_runs_its_service_as_a_user_without_rights(target: str) -> None:
    stages = ancestry(STAGES, target)
    assert command(last(stages, "ENTRYPOINT")) == ["python", "-m", f"services.{target}"]
    user, _, group = last(stages, "USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert STAGES[target].steps.index(("USER", f"{user}:{group}")) > max(
        i for i, (name, _) in enumerate(STAGES[target].steps) if name in ("RUN", "COPY")
    )


@pytest.mark.parametrize("target", SERVICES)
def test_the_health_check_asks_the_port_that_is_exposed(target: str) -> None:
    stages = ancestry(STAGES, target)
    assert command(last(stages, "HEALTHCHECK"))[-1] == f"127.0.0.1:{last(stages, 'EXPOSE')}"
    assert f"LISTEN=0.0.0.0:{last(stages, 'EXPOSE')}" in last(stages, "ENV")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_versions_are_exact_and_the_same_everywhere(dockerfile: Path) -> None:
    stages = read_stages(dockerfile)
    for base in {stage.base for stage in stages.values()} - stages.keys():
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+[\w.-]*", base)
    text = dockerfile.read_text()
    installs = re.findall(r"pip install .*", text)
    assert installs
    for install in installs:
        assert "==" not in install
        assert re.search(r"-[rc] /opt/shelm/requirements[\w-]*\.txt", install)
    assert re.findall(r"^ARG VERSION=(.+)", text, re.M) == [shelm.__version__]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pinned_package_has_the_hashes_of_its_files(lock: Path) -> None:
    pins = re.split(r"\n(?=[\w-])", lock.read_text())[1:]
    assert pins
    assert not [pin for pin in pins if not re.match(r"[\w.-]+(\[[\w,]+\])?==\S+.*--hash=sha256:[0-9a-f]{64}", pin, re.S)]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_a_build_gets_the_files_it_copies(dockerfile: Path) -> None:
    copies = [parse_copy(value) for stage in read_stages(dockerfile).values() for value in stage.values("COPY")]
    sources = {source for copy in copies if not copy.stage for source in copy.sources}
    files = context()
    assert sources
    assert not {source for source in sources if not any(path == source or path.startswith(f"{source}/") for path in files)}


def test_a_build_gets_no_weights_tests_secrets_or_caches() -> None:
    patterns = ignore_patterns(REPOSITORY / ".dockerignore")
    for path in (
        ".secrets/tokens",
        ".env",
        "models/a/policy.safetensors",
        "services/__pycache__/x.pyc",
        "tests/conftest.py",
    ):
        assert not in_context(path, patterns)
    assert sum((REPOSITORY / path).stat().st_size for path in context()) < 3.5 * 2**20  # the page's chart library has 1.1 MB


def context() -> list[str]:
    """The repository's files that a build gets."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    patterns = ignore_patterns(REPOSITORY / ".dockerignore")
    return [path for path in listing if in_context(path, patterns)]


def test_a_copy_that_is_not_understood_is_refused() -> None:
    assert parse_copy("--from=a b c d/") == Copy("a", ("b", "c"), "d/")
    with pytest.raises(ValueError, match="not understood"):
        parse_copy("--link a b")
