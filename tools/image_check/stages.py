"""Parses the Dockerfile into stages and instructions.

Failure policy: an unknown instruction or option raises ValueError; nothing is skipped silently.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from string import Template

from dockerfile_parse import DockerfileParser

DOCKERFILE = Path("deploy/docker/Dockerfile")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # the default of container engines


@dataclass
class Stage:
    """One FROM and the instructions after it."""

    name: str
    base: str  # another stage, or an image
    steps: list[tuple[str, str]] = field(default_factory=list)  # instruction, value

    def values(self, instruction: str) -> list[str]:
        """Returns all values of one instruction."""
        return [value for name, value in self.steps if name == instruction]


@dataclass(frozen=True)
class Copy:
    """One COPY."""

    stage: str  # --from; empty: the build context
    sources: tuple[str, ...]
    target: str


def read_stages(dockerfile: Path) -> dict[str, Stage]:
    """Returns the stages in order."""
    parser = DockerfileParser(fileobj=dockerfile.open("rb"), env_replace=False)
    stages: dict[str, Stage] = {}
    for step in parser.structure:
        name, value = step["instruction"], step["value"]
        if name == "FROM":
            base, _, alias = value.partition(" AS ")
            stage = stages[alias or base] = Stage(alias or base, base)
        elif name != "COMMENT":
            stage.steps.append((name, value))
    return stages


def ancestry(stages: Mapping[str, Stage], name: str) -> list[Stage]:
    """Returns a stage after those on which it is based; the base of the first one is an image."""
    stage = stages[name]
    return [*(ancestry(stages, stage.base) if stage.base in stages else []), stage]


def variables(stages: list[Stage], given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns ENV of an ancestry, and the ARGs that have a value; given: the initial environment, which may set an ARG."""
    env = dict(given)
    args: dict[str, str] = {}
    for name, value in (step for stage in stages for step in stage.steps):
        if name == "ENV":
            env |= dict(_pairs(value, {**args, **env}))
        elif name == "ARG":
            key, _, default = value.partition("=")
            if text := given.get(key, default):
                args[key] = text
    return env, args


def _pairs(value: str, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for pair in shlex.split(value):
        key, _, text = pair.partition("=")
        yield key, Template(text).substitute(known)


def parse_copy(value: str) -> Copy:
    """Parses the value of a COPY."""
    options = [word for word in value.split() if word.startswith("--")]
    words = [word for word in value.split() if not word.startswith("--")]
    if [option for option in options if not option.startswith("--from=")]:
        raise ValueError(f"COPY {value}: an option that is not understood")
    return Copy("".join(options).removeprefix("--from="), tuple(words[:-1]), words[-1])


def last(stages: list[Stage], instruction: str, default: str = "") -> str:
    """Returns the last value of an instruction; raises ValueError if there is neither one nor a default."""
    values = [default, *(value for stage in stages for value in stage.values(instruction))]
    if not values[-1]:
        raise ValueError(f"{stages[-1].name}: no {instruction}")
    return values[-1]


def command(value: str) -> list[str]:
    """Parses an exec form, also after the options of HEALTHCHECK; raises ValueError for a shell form."""
    _, bracket, rest = value.partition("[")
    if not bracket:
        raise ValueError(f"{value}: not in exec form")
    words: list[str] = json.loads(bracket + rest)
    return words


def in_context(path: str, patterns: list[str]) -> bool:
    """Returns whether a file is part of the build context, by the lines of .dockerignore; the last matching line decides."""
    found = True
    for line in patterns:
        pattern = line.removeprefix("!")
        if any(_matches(part, pattern) for part in (PurePosixPath(path), *PurePosixPath(path).parents)):
            found = line.startswith("!")
    return found


def _matches(path: PurePosixPath, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return path.match(pattern.removeprefix("**/"))
    return len(path.parts) == len(PurePosixPath(pattern).parts) and path.match(pattern)


def ignore_patterns(file: Path) -> list[str]:
    """Returns the lines of a .dockerignore without comments and empty lines."""
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
