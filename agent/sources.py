"""Locates files in installed Python packages, named `package:PACKAGE/FILE`, and identifies files.

Failure policy: FileNotFoundError names the missing package or file, ValueError a name that leads out of it. Nothing of the
package is executed.
"""

import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path


def package_file(source: str) -> Path:
    """Returns the path of `package:PACKAGE/FILE` without importing the package."""
    package, _, name = source.removeprefix("package:").partition("/")
    if (
        "." in package or not name or Path(name).is_absolute() or ".." in Path(name).parts
    ):  # a dotted name imports its parent
        raise ValueError(f"{source}: expected package:PACKAGE/FILE, a file inside an installed package")
    found = importlib.util.find_spec(package)
    folders = found.submodule_search_locations if found else None
    if not folders:
        raise FileNotFoundError(f"{source}: the Python package {package!r} is not installed")
    path = Path(folders[0]) / name
    if not path.is_file():
        raise FileNotFoundError(f"{source}: the package {package!r} has no file {name!r}")
    return path


def sha256_of_files(files: Mapping[str, str]) -> str:
    """Returns the SHA-256 of a set of files, from theirs by name."""
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(files.items())).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
