"""Builds the images: `python -m tools.images [--engine docker|podman|buildah] [--push] [TARGET ...]`.

Contract: deploy/docker/bake.json says what is built and how it is called; its variables are taken from the environment
(IMAGES: registry and folder, VERSION, PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, VERIFY_HASHES). With docker, buildx builds all
targets at once, when it pushes also for several platforms, and writes their digests to `--digests`, which tools.release
reads. podman and buildah build one target after another for this machine's platform. Failure: the first command that fails
ends this one with its status; a target that does not exist, or a push to nobody's registry, is refused by name.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BAKE = ROOT / "deploy" / "docker" / "bake.json"
PLATFORMS = "linux/amd64,linux/arm64"
ENGINES = ("docker", "podman", "buildah")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def variables(environment: Mapping[str, str], file: Path = BAKE) -> dict[str, str]:
    """Returns the value of each variable of the file."""
    found: dict[str, dict[str, str]] = json.loads(file.read_text())["variable"]
    return {name: environment.get(name) or one["default"] for name, one in found.items()}


def names(values: Mapping[str, str], file: Path = BAKE) -> dict[str, str]:
    """Returns the image of each target, as REGISTRY/NAME:VERSION."""
    return {name: _filled(one["tags"][0], values) for name, one in _targets(file).items()}


def commands(engine: str, wanted: Sequence[str], values: Mapping[str, str], *, push: bool = False) -> Iterator[list[str]]:
    """Yields the commands of podman or buildah: a target's build, and its push."""
    targets = _targets(BAKE)
    for name in wanted:
        one = targets[name]
        args = [f"--build-arg={key}={_filled(value, values)}" for key, value in one.get("args", {}).items()]
        stage = [f"--target={one['target']}"] if "target" in one else []
        tag = _filled(one["tags"][0], values)
        # HEALTHCHECK is no part of OCI's format.
        yield [
            engine,
            "build",
            "--format=docker",
            f"--file={one['dockerfile']}",
            f"--tag={tag}",
            *stage,
            *args,
            one["context"],
        ]
        if push:
            yield [engine, "push", tag]


def buildx(wanted: Sequence[str], *, push: bool, platforms: str, digests: Path | None) -> list[str]:
    """Returns the command of docker. With `push`: for all platforms, with an SBOM and the provenance of each image."""
    command = ["docker", "buildx", "bake", f"--file={BAKE.relative_to(ROOT)}"]
    if digests:
        command += [f"--metadata-file={digests}"]
    if not push:
        return [*command, "--load", *wanted]
    attested = ["--sbom=true", "--provenance=mode=max"]
    return [*command, "--push", f"--set=*.platform={platforms}", *attested, *wanted]


def _targets(file: Path) -> dict[str, dict[str, Any]]:
    """Returns the targets with names of their own, each with what it inherits."""
    found: dict[str, dict[str, Any]] = json.loads(file.read_text())["target"]
    whole = {
        name: {**{k: v for base in one.get("inherits", []) for k, v in found[base].items()}, **one}
        for name, one in found.items()
    }
    return {name: one for name, one in whole.items() if "tags" in one}


def _groups() -> dict[str, list[str]]:
    groups: dict[str, dict[str, list[str]]] = json.loads(BAKE.read_text())["group"]
    default = groups["default"]["targets"]
    return {
        name: [one for part in group["targets"] for one in (default if part == "default" else [part])]
        for name, group in groups.items()
    }


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: values[match[1]], text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds; returns the status of the last command."""
    groups, targets = _groups(), _targets(BAKE)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join([*groups, *targets])}")
    parser.add_argument("--engine", choices=ENGINES, default="docker")
    parser.add_argument("--push", action="store_true", help="to the registry in IMAGES")
    parser.add_argument("--platforms", default=PLATFORMS, help="of what is pushed, with docker")
    parser.add_argument("--digests", type=Path, help="file for the digests, with docker")
    parser.add_argument("--print", action="store_true", dest="shown", help="only print the commands")
    parser.add_argument("--name", metavar="TARGET", choices=targets, help="only print the image of this target")
    options = parser.parse_args(arguments)
    asked = options.targets or ["default"]
    if unknown := set(asked) - groups.keys() - targets.keys():
        parser.error(f"TARGET: there is no {', '.join(sorted(unknown))}; there are {', '.join([*groups, *targets])}")
    values = variables(os.environ)
    if options.push and values["IMAGES"].startswith("registry.example/"):
        parser.error(
            "IMAGES: registry.example is nobody's; set your registry and folder, such as IMAGES=registry.my.org/shelm"
        )
    if options.name:
        print(names(values)[options.name])
        return 0
    wanted = list(dict.fromkeys(one for name in asked for one in groups.get(name, [name])))
    todo = commands(options.engine, wanted, values, push=options.push)
    if options.engine == "docker":
        todo = iter([buildx(wanted, push=options.push, platforms=options.platforms, digests=options.digests)])
    for command in todo:
        print(" ".join(command), flush=True)
        if not options.shown and (status := subprocess.run(command, cwd=ROOT, check=False).returncode):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
