"""Surface: the bundle of an agent without words, and its ONNX file.

`inputs(seed, n)` yields bundles whose manifest or ONNX file was damaged: other values in fields of the graph, its nodes, its
tensors or its inputs, or other bytes; most with all digests right again. `check(data)` loads one, as a server does, and acts
twice with it. What must hold is what fuzz_bundles says; an ONNX file that onnxruntime cannot run is refused like any other.
"""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from fuzz_bundles import unpacked
from fuzz_changes import Files, change_text, change_value, packed, signed
from fuzz_messages import Choose, damage, pick, refill
from google.protobuf.message import DecodeError

from agent.bundle import WordlessBundle, load_any_bundle
from agent.engines.wordless import load_wordless

BUNDLE = Path(__file__).parents[1] / "golden" / "wordless_episode" / "bundle"
POLICY = "policy.onnx"


@functools.cache
def _good() -> Files:
    return {path.name: ("file", path.read_bytes()) for path in sorted(BUNDLE.iterdir())}


def inputs(seed: int, n: int) -> Iterator[bytes]:
    """Yields n bundles; the same seed gives the same ones."""
    choose = np.random.default_rng(seed)
    for _ in range(n):
        files = dict(_good())
        for _ in range(int(pick(choose, (1, 1, 1, 2, 3)))):
            pick(choose, CHANGES)(choose, files)
        yield packed(signed(files) if choose.integers(10) else files)


def _change_graph(choose: Choose, files: Files) -> None:
    """Other values in a part of the graph."""
    model: Any = onnx.ModelProto()
    with contextlib.suppress(DecodeError):  # its bytes were damaged before
        model.ParseFromString(files[POLICY][1])
    graph = model.graph
    parts = [model, graph, *graph.node, *graph.node, *graph.initializer, *graph.input, *graph.output]
    parts += [attribute for node in graph.node for attribute in node.attribute]
    with contextlib.suppress(ValueError):  # numbers that its enumerations do not know
        refill(choose, pick(choose, parts), chance=0.2)
    files[POLICY] = "file", model.SerializeToString()


def _change_bytes(choose: Choose, files: Files) -> None:
    files[POLICY] = "file", damage(choose, files[POLICY][1])


CHANGES = (change_value, change_text, _change_graph, _change_graph, _change_graph, _change_bytes)


def check(data: bytes) -> bool:
    """Loads one bundle and acts with it; returns whether it acted. Raises whatever must not happen."""
    with unpacked(data) as folder:
        try:
            return _acts(folder)
        except (ValueError, FileNotFoundError):
            return False


def _acts(folder: Path) -> bool:
    bundle = load_any_bundle(folder)
    if not isinstance(bundle, WordlessBundle):
        return False
    policy, seen = load_wordless(bundle), bundle.manifest.observation
    state = b""
    for pixel in (0, 255):
        (found,) = policy.decide([(np.full((seen.height, seen.width, seen.channels), pixel, np.uint8), state)])
        if isinstance(found, Exception):
            raise AssertionError(f"it was loaded and does not act: {found}")
        row, value, state = found
        assert np.isfinite(row).all(), "numbers that are not finite"
        assert np.isfinite(value), "a value that is not finite"
        assert len(state) == policy.state_bytes
    return True
