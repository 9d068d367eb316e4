"""The images: which packages each holds, by its list, and what its service imports."""

import ast
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from support.process import REPOSITORY
from tools.image_check.stages import DOCKERFILE, read_stages
from tools.packages import FOLDER

DOCKERFILES = [REPOSITORY / DOCKERFILE, FOLDER / "triton.Dockerfile"]
STAGES = read_stages(REPOSITORY / DOCKERFILE)
OURS = {"agent", "services", "shelm"}
# Runs a service as if only the named packages were installed.
ONLY = """
import runpy, sys
from importlib.metadata import packages_distributions
held, service = set(sys.argv[1].split(",")), sys.argv[2]
del sys.argv[1:]  # they are not the service's
absent = {name for name, of in packages_distributions().items() if not held & {one.lower().replace("_", "-") for one in of}}
class Held:
    def __init__(self, finder):
        self._finder = finder
    def __getattr__(self, name):
        return getattr(self._finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in absent else self._finder.find_spec(name, path, target)
sys.meta_path[:] = map(Held, sys.meta_path)
runpy.run_module(f"services.{service}", run_name="__main__")
"""


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
