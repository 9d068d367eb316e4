"""The images: which packages each holds, by its list, and what its service imports."""

import ast
import sys
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.process import REPOSITORY
from tools.image_check.stages import DOCKERFILE, read_stages

FOLDER = REPOSITORY / "deploy" / "docker"
DOCKERFILES = [REPOSITORY / DOCKERFILE, FOLDER / "triton.Dockerfile"]
STAGES = read_stages(REPOSITORY / DOCKERFILE)
LISTS = {"policy": ["policy"], "retrieval": ["retrieval"], "memory": ["memory"], "standalone": ["memory", "retrieval"]}
OURS = {"agent", "services", "shelm"}
# Runs a service as if only the named packages were installed.
ONLY = """
import runpy, sys
from importlib.metadata import packages_distributions
held, service = set(sys.argv[1].split(",")), sys.argv[2]
del sys.argv[1:]  # they are not the service's
absent = {name for name, of in packages_distributions().items() if not held & {one.lower().replace("_", "-") for one in of}}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"not in the image: {name}", name=name)
sys.meta_path.insert(0, Absent())
runpy.run_module(f"services.{service}", run_name="__main__")
"""


def listed(name: str) -> dict[str, Requirement]:
    """The packages of one list and of those it includes."""
    found: dict[str, Requirement] = {}
    for line in (FOLDER / f"requirements-{name}.in").read_text().splitlines():
        if line.startswith("-r "):
            found |= listed(line.removeprefix("-r requirements-").removesuffix(".in"))
        elif line and not line.startswith("#"):
            requirement = Requirement(line)
            found[canonicalize_name(requirement.name)] = requirement
    return found


def installed(target: str) -> set[str]:
    """Every package that an image holds, by what the packages ask for."""
    waiting = [requirement for name in LISTS[target] for requirement in listed(name).values()]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        for extra in ["", *requirement.extras]:
            if (key := (canonicalize_name(requirement.name), extra)) not in seen:
                seen.add(key)
                needs = [Requirement(text) for text in requires(requirement.name) or []]
                waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


def files_of(module: str) -> tuple[Path, Path]:
    """Where a module's code can be: a file, or a package."""
    place = REPOSITORY.joinpath(*module.split("."))
    return place.with_suffix(".py"), place / "__init__.py"


@cache
def distributions() -> dict[str, list[str]]:
    """The packages that each top-level name comes from; it takes a second to find out."""
    return dict(packages_distributions())


def imports(service: str) -> set[str]:
    """Top-level names of everything that a service can import from others, late imports included."""
    begin = [f"services.{service}.{module}" for module in ("__main__", "serve")]  # the one imports the other by its name
    waiting, seen, foreign = begin, set[str](), set[str]()
    while waiting:
        module = waiting.pop()
        top = module.partition(".")[0]
        if top not in ("agent", "services"):
            foreign.add(top)
            continue
        file = next((one for one in files_of(module) if one.exists()), None)
        if module in seen or not file:
            continue
        seen.add(module)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return foreign - OURS - set(sys.stdlib_module_names)
