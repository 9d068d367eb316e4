"""The images' names and how they are built: one file says it, and whatever names an image agrees with it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import shelm
import yaml
from support.images import STAGES
from support.process import REPOSITORY

from tools.images import BAKE, buildx, commands, names, variables

IMAGES = names(variables({}))
WITH_NAMES = [
    *(REPOSITORY / "deploy" / "k8s").rglob("*.yaml"),
    *(REPOSITORY / "deploy").rglob("*Dockerfile"),
    REPOSITORY / "docker-compose.yml",
]
NAME = re.compile(r"(?:registry\.example/shelm|\$\{IMAGES:-registry\.example/shelm\})/(\w+)")


def images(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools.images", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def test_every_image_that_is_named_somewhere_is_built_and_each_is_named() -> None:
    named = {name for path in WITH_NAMES for name in NAME.findall(path.read_text())}
    assert named == IMAGES.keys()
    assert not [path for path in WITH_NAMES if "ghcr.io" in path.read_text()]


def test_names_have_the_version_of_the_code_everywhere() -> None:
    assert {name: f"registry.example/shelm/{name}:{shelm.__version__}" for name in IMAGES} == IMAGES
    for path in (REPOSITORY / "deploy" / "k8s").rglob("kustomization.yaml"):
        for one in yaml.safe_load(path.read_text()).get("images", []):
            if match := NAME.fullmatch(one["name"]):
                assert one["newTag"] == IMAGES[match[1]].rpartition(":")[2], path
    compose = (REPOSITORY / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{VERSION:-([^}]+)\}", compose)) == {shelm.__version__}


@pytest.mark.parametrize("engine", ["podman", "buildah"])
def test_engines_without_buildx_build_each_target_from_its_stage_with_all_arguments(engine: str) -> None:
    values = variables({"IMAGES": "registry.my.org/a", "VERSION": "9", "VERIFY_HASHES": "0"})
    build, push = commands(engine, ["policy"], values, push=True)
    assert build[:2] == [engine, "build"]
    assert build[-1] == "."
    assert {"--tag=registry.my.org/a/policy:9", "--target=policy", "--build-arg=VERIFY_HASHES=0"} < set(build)
    assert push == [engine, "push", "registry.my.org/a/policy:9"]
    given = {one.partition("=")[2].partition("=")[0] for one in build if one.startswith("--build-arg")}
    dockerfile = (REPOSITORY / "deploy" / "docker" / "Dockerfile").read_text()
    assert given == set(re.findall(r"^ARG (\w+)", dockerfile, re.M))
    for name in IMAGES:
        (one,) = commands(engine, [name], values)
        assert (REPOSITORY / next(part for part in one if part.startswith("--file=")).removeprefix("--file=")).exists()
        assert all(part.removeprefix("--target=") in STAGES for part in one if part.startswith("--target="))


def test_what_is_pushed_has_both_platforms_an_sbom_and_its_provenance() -> None:
    command = buildx(["policy"], push=True, platforms="linux/amd64,linux/arm64", digests=Path("d.json"))
    asked = {
        "--push",
        "--sbom=true",
        "--provenance=mode=max",
        "--metadata-file=d.json",
        "--set=*.platform=linux/amd64,linux/arm64",
    }
    assert asked < set(command)
    assert command[-1] == "policy"
    assert (REPOSITORY / BAKE).exists()


def test_nobodys_registry_an_unknown_target_and_a_failing_engine_end_the_command(tmp_path: Path) -> None:
    assert "IMAGES: registry.example is nobody's" in images("--push").stderr
    assert "TARGET: there is no polcy" in images("polcy").stderr
    failing = tmp_path / "buildah"
    failing.write_text("#!/bin/sh\nexit 7\n")
    failing.chmod(0o755)
    assert images("--engine", "buildah", "agents", "inspector", PATH=str(tmp_path)).returncode == 7
    printed = images("--name", "memory", IMAGES="registry.my.org/a", VERSION="2")
    assert printed.stdout == "registry.my.org/a/memory:2\n"
