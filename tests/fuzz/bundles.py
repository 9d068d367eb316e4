"""Surface: the manifest of an agent bundle.

`inputs(seed, n)` mutates the text of a manifest; `check(data)` loads a small bundle with it, its digest made right where
it still is an object. What must hold: a bundle, or `InvalidBundle`.
"""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agent.bundle import MANIFEST, InvalidBundle, load_bundle, manifest_digest

SHIPPED = Path(__file__).parents[2] / "models" / "minigrid-memory" / MANIFEST
SNIPPETS: tuple[bytes, ...] = (
    b"NaN",
    b"Infinity",
    b"1e999",
    b"-1",
    b"9" * 5000,
    b"[" * 3000,
    b"null",
    b"{}",
    b'"../x"',
    b'"/etc/passwd"',
    b'"\\ud800"',
)
SNIPPETS += (
    b'"file:.."',
    b'"file:/"',
    b'"file:"',
    b'"hub:a/b"',
    b'"package:a/../b"',
    b'"\\u0000"',
    b'"name": 1,',
    b'"files": {},',
)


def inputs(seed: int, n: int) -> Iterator[bytes]:
    """Yields n damaged manifests; the same seed gives the same ones."""
    choose, whole = np.random.default_rng(seed), SHIPPED.read_bytes()
    for _ in range(n):
        data = bytearray(whole)
        for _ in range(choose.integers(1, 4)):
            at = int(choose.integers(len(data)))
            snippet = SNIPPETS[choose.integers(len(SNIPPETS))] if choose.integers(2) else choose.bytes(1)
            if choose.integers(2) and b": " in data[at:]:  # a value in the place of another
                at = data.index(b": ", at) + 2
                end = min((found for mark in b",\n" if (found := data.find(mark, at)) >= 0), default=len(data))
                data[at:end] = snippet
            else:
                data[at : at + 1] = snippet
        yield bytes(data)


def check(data: bytes) -> bool:
    """Loads one bundle; returns whether it was taken. Raises whatever must not happen."""
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(data)
        content["files"] = {}
        content["digest"] = manifest_digest(content)
        data = json.dumps(content).encode()
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / MANIFEST).write_bytes(data)
        (folder / "clip").mkdir()
        with contextlib.suppress(InvalidBundle):
            load_bundle(folder)
            return True
        return False
    finally:
        shutil.rmtree(folder)
