"""Updates the browser libraries in this repository from their npm packages: `python -m services.inspector.assets`.

Contract: static/vendor/vendor.json pins each package by version and integrity (sha512, in npm's format) and lists which of
its files are included. They are part of the repository, so that the page needs no npm; a test compares them with the
package.

Failure policy: `CannotFetch` if npm is missing, the registry cannot be reached, or the package does not match its pin;
nothing is written then.
"""

import base64
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parent / "static" / "vendor"
TIMEOUT = 120.0  # seconds


class CannotFetch(RuntimeError):  # noqa: N818
    """A package could not be fetched; the message gives the reason."""


def fetch(package: str, version: str, integrity: str) -> dict[str, bytes]:
    """Returns all files of an npm package by their path in it."""
    npm = shutil.which("npm")
    if npm is None:
        raise CannotFetch("npm is not installed; it is needed only to write or check the page's libraries")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{package}@{version}", "--silent", "--pack-destination", folder]
        try:
            result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            raise CannotFetch(f"npm has not fetched {package} {version} within {TIMEOUT:.0f} s") from None
        found = sorted(Path(folder).glob("*.tgz"))
        if not found:
            raise CannotFetch(f"npm cannot fetch {package} {version}: {result.stderr.strip()[-500:]}")
        content = found[0].read_bytes()
    given = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    if given != integrity:
        raise CannotFetch(f"{package} {version} is not the pinned package: expected {integrity}, got {given}")
    return _files(content)


def _files(content: bytes) -> dict[str, bytes]:
    files = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if member.isfile() and (data := archive.extractfile(member)):
                files[member.name.partition("/")[2]] = data.read()
    return files


def carried() -> dict[str, bytes]:
    """Returns the expected files of static/vendor by name, taken from the packages."""
    wanted: dict[str, bytes] = {}
    for one in json.loads((VENDOR / "vendor.json").read_text()):
        files = fetch(one["package"], one["version"], one["integrity"])
        wanted |= {name: files[path] for name, path in one["files"].items()}
    return wanted


def main() -> int:
    """Writes the files."""
    try:
        wanted = carried()
    except CannotFetch as error:
        print(error, file=sys.stderr)
        return 1
    for name, data in wanted.items():
        (VENDOR / name).write_bytes(data)
        print(f"{name}: {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
