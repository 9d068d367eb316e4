"""A policy that a Python package makes: code, which is imported and run, so the server's operator must allow it.

The function is called with the folder of the bundle and returns a `WordlessPolicy`. Contract: the package is installed in
exactly the version that the manifest names. Failure policy: ValueError, which names both versions or what is missing;
whatever the package raises is raised unchanged.
"""

import importlib
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

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
    owners = packages_distributions().get(module.partition(".")[0], [])
    if part.package not in owners:
        raise ValueError(f"policy.entry_point: {module} is not of {part.package}")
    policy: WordlessPolicy = getattr(importlib.import_module(module), name)(folder)
    if policy.state_bytes != part.state_bytes:
        raise ValueError(f"policy.state_bytes: expected {policy.state_bytes}, got {part.state_bytes}")
    return policy
