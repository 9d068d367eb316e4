"""Builds and runs the images without a container engine: `python -m tools.image_check.dry_run --base DIR [TARGET ...]`.

Every step of the Dockerfile is executed in a chroot whose layers are overlay mounts, as an engine would do it. Then the
services are started with a read-only root, as the image's user, and checked with the image's own HEALTHCHECK. A frame is
sent to the public API, and SIGTERM must end all services with status 0.

DIR is used as the base image: an unpacked Debian with Python 3.11, for instance from `debootstrap --variant=minbase
--include=python-is-python3,python3-venv,ca-certificates bookworm DIR`. Needs root on Linux and 8 GB of disk; mounts are in a
separate namespace. PIP_* variables are passed to the build like build arguments. Failure policy: the first step that fails
ends the command with that step's output; finished layers in `--work` are reused.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools.image_check.running import check_all
from tools.image_check.stages import (
    DOCKERFILE,
    PATH,
    Stage,
    ancestry,
    ignore_patterns,
    in_context,
    last,
    parse_copy,
    read_stages,
    variables,
)

PRIVATE = "SHELM_DRY_RUN_NAMESPACE"


class Builder:
    """Builds stages in a work folder; each stage has one folder, on top of those it is based on."""

    def __init__(self, stages: dict[str, Stage], base: Path, work: Path) -> None:
        """base: the root folder used as the base image."""
        self.stages, self._base, self.work = stages, base, work

    def layers(self, name: str) -> list[Path]:
        """Returns the folders whose overlay is the stage's root, lowest first."""
        return [self._base, *(self.work / stage.name / "layer" for stage in ancestry(self.stages, name))]

    def build(self, name: str) -> None:
        """Builds a stage and its dependencies."""
        stage = self.stages[name]
        needed = [parse_copy(value).stage for value in stage.values("COPY")]
        for other in [stage.base, *needed]:
            if other in self.stages:
                self.build(other)
        done = self.work / name / "done"
        if done.exists():
            return
        began = time.monotonic()
        shutil.rmtree(self.work / name, ignore_errors=True)
        self._carry_out(stage)
        print(f"{name}: layer of {megabytes(self.work / name / 'layer')} MB in {time.monotonic() - began:.0f} s", flush=True)
        done.touch()

    def _carry_out(self, stage: Stage) -> None:
        folder = self.work / stage.name
        for part in ("layer", "scratch", "root"):
            (folder / part).mkdir(parents=True)
        root = folder / "root"
        lower = ":".join(str(layer) for layer in reversed(self.layers(stage.name)[:-1]))
        options = f"lowerdir={lower},upperdir={folder / 'layer'},workdir={folder / 'scratch'}"
        mount("-t", "overlay", "overlay", "-o", options, str(root))
        mount("--rbind", "/dev", str(root / "dev"))
        mount("-t", "proc", "proc", str(root / "proc"))
        for file in ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"):
            (root / file.lstrip("/")).touch()
            mount("--bind", file, str(root / file.lstrip("/")))
        try:
            for i, (instruction, value) in enumerate(stage.steps):
                before = [*ancestry(self.stages, stage.name)[:-1], Stage(stage.name, stage.base, stage.steps[:i])]
                self._step(before, root, instruction, value)
        finally:
            subprocess.run(["umount", "--recursive", "--lazy", str(root)], check=True)

    def _step(self, before: list[Stage], root: Path, instruction: str, value: str) -> None:
        """Executes one step. before: the settings in effect at its start."""
        folder = last(before, "WORKDIR", "/")
        if instruction == "COPY":
            self._copy(root, folder, value)
        elif instruction == "RUN":
            print(f"{before[-1].name}: RUN {value[:100]}", flush=True)
            env, args = variables(before, _outside())
            subprocess.run(["chroot", str(root), "/bin/sh", "-c", f"cd {folder} && {value}"], env=env | args, check=True)
        elif instruction == "WORKDIR":
            (root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _copy(self, root: Path, folder: str, value: str) -> None:
        copy = parse_copy(value)
        target = root / os.path.join(folder, copy.target).lstrip("/")
        origin = Path.cwd()
        if copy.stage:  # files created in the other stage itself
            origin = self.work / copy.stage / "layer"
        patterns = [] if copy.stage else ignore_patterns(Path(".dockerignore"))
        for name in copy.sources:
            source = origin / name.lstrip("/")
            into = target / source.name if source.is_file() and copy.target.endswith("/") else target
            for file in [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file()):
                if in_context(str(file.relative_to(origin)), patterns):
                    place = into / file.relative_to(source) if source.is_dir() else into
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(file, place)


def mount(*arguments: str) -> None:
    """Calls mount(8)."""
    subprocess.run(["mount", *arguments], check=True)


def megabytes(folder: Path) -> int:
    """Returns the size on disk in 10^6 bytes."""
    found = subprocess.run(["du", "-s", "--block-size=1000000", str(folder)], capture_output=True, text=True, check=True)
    return int(found.stdout.split()[0])


def _outside() -> dict[str, str]:
    """Returns the variables of this process that a step sees: as under an engine, only build arguments."""
    passed = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return {"PATH": PATH, **passed}


def main() -> None:
    """Builds and runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", default=["retrieval", "memory", "policy", "standalone"], metavar="TARGET")
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(".run/images"))
    options = parser.parse_args()
    if PRIVATE not in os.environ:  # so that mounts are invisible to other processes and end with this one
        command = ["unshare", "--mount", sys.executable, "-m", "tools.image_check.dry_run", *sys.argv[1:]]
        os.execvpe("unshare", command, {**os.environ, PRIVATE: "yes"})
    builder = Builder(read_stages(DOCKERFILE), options.base.resolve(), options.work.resolve())
    for target in options.targets:
        builder.build(target)
    for target in options.targets:
        own = builder.layers(target)[1:]
        print(f"{target}: {sum(megabytes(layer) for layer in own)} MB above the base image", flush=True)
    check_all(builder.stages, {target: builder.layers(target) for target in options.targets}, builder.work)


if __name__ == "__main__":
    main()
