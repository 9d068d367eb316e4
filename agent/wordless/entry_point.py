"""A policy that a Python package makes: code, which is imported and run, so the server's operator must allow it.

The function is called with the folder of the bundle and returns a `WordlessPolicy`. Contract: the package is installed in
exactly the version that the manifest names. Failure policy: ValueError, which names both versions or what is missing;
whatever the package raises is raised unchanged.
"""

import importlib
import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distributions, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from agent.wordless.parts import EntryPointPart
from agent.wordless.policy import WordlessPolicy


def load_entry_point(folder: Path, part: EntryPointPart) -> WordlessPolicy:
    """Imports the module and calls its function."""
    try:
        installed = version(part.package)
    except PackageNotFoundError:
        raise ValueError(f"policy.package: {part.package} {part.version} is not installed") from None
    if installed != part.version:
        raise ValueError(f"policy.version: expected {part.package} {part.version}, {installed} is installed")
    module, _, name = part.entry_point.partition(":")
    if not _is_of(module, part.package):
        raise ValueError(f"policy.entry_point: {module} is not of {part.package}")
    policy: WordlessPolicy = getattr(importlib.import_module(module), name)(folder)
    if policy.state_bytes != part.state_bytes:
        raise ValueError(f"policy.state_bytes: expected {policy.state_bytes}, got {part.state_bytes}")
    return policy


def _is_of(module: str, package: str) -> bool:
    """Whether the module is installed with the package, or lies in the folder that an editable install of it points to."""
    if package in packages_distributions().get(module.partition(".")[0], []):
        return True
    found = find_spec(module)
    if not found or not found.origin:
        return False
    path = Path(found.origin).resolve()
    return any(path.is_relative_to(folder) for folder in _editable_folders(package))


def _editable_folders(package: str) -> Iterator[Path]:
    # Building an editable install may leave metadata without an origin in the checkout itself, and that may be found first.
    for known in distributions(name=package):
        origin = json.loads(known.read_text("direct_url.json") or "{}")
        if origin.get("dir_info", {}).get("editable"):
            yield Path(url2pathname(urlparse(origin["url"]).path)).resolve()
