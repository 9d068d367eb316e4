"""The Dockerfile as data: its stages and what each one says.

Failure policy: an instruction or option that is not understood raises ValueError; nothing is skipped silently.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from string import Template

from dockerfile_parse import DockerfileParser

DOCKERFILE = Path("deploy/docker/Dockerfile")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # what engines give a container


@dataclass
class Stage:
    """One FROM and what follows it."""

    name: str
    base: str  # another stage, or an image
    steps: list[tuple[str, str]] = field(default_factory=list)  # instruction, value

    def values(self, instruction: str) -> list[str]:
        """All values of one instruction."""
        return [value for name, value in self.steps if name == instruction]


@dataclass(frozen=True)
class Copy:
    """One COPY."""

    stage: str  # --from; empty: the build context
    sources: tuple[str, ...]
    target: str


def read_stages(dockerfile: Path) -> dict[str, Stage]:
    """The stages in their order."""
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
    """A stage after those that it is based on; the first one's base is an image."""
    stage = stages[name]
    return [*(ancestry(stages, stage.base) if stage.base in stages else []), stage]


def variables(stages: list[Stage], given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """ENV of an ancestry, and the ARGs that have a value; given: the environment before, which may set an ARG."""
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
    """The value of a COPY."""
    options = [word for word in value.split() if word.startswith("--")]
    words = [word for word in value.split() if not word.startswith("--")]
    if [option for option in options if not option.startswith("--from=")]:
        raise ValueError(f"COPY {value}: an option that is not understood")
    return Copy("".join(options).removeprefix("--from="), tuple(words[:-1]), words[-1])


def last(stages: list[Stage], instruction: str, default: str = "") -> str:
    """The value that holds in the end; ValueError if there is neither one nor a default."""
    values = [default, *(value for stage in stages for value in stage.values(instruction))]
    if not values[-1]:
        raise ValueError(f"{stages[-1].name}: no {instruction}")
    return values[-1]


def command(value: str) -> list[str]:
    """An exec form, also behind the options of HEALTHCHECK; ValueError if it is a shell form."""
    _, bracket, rest = value.partition("[")
    if not bracket:
        raise ValueError(f"{value}: not in exec form")
    words: list[str] = json.loads(bracket + rest)
    return words


def in_context(path: str, patterns: list[str]) -> bool:
    """Whether a build gets a file, by the lines of .dockerignore; the last one that matches decides."""
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
    """The lines of a .dockerignore that say something."""
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
