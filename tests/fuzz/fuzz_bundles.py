"""Surface: the files of an agent bundle.

`inputs(seed, n)` yields whole bundles: a tiny one whose manifest, settings, weights or words were damaged, or to which a
hostile author has added something; most with all digests right again, so that what is behind them is reached. `check(data)`
loads one and acts with it. What must hold: it acts with finite numbers, or is refused as `InvalidBundle`, or with ValueError
or FileNotFoundError, which end a service's start with one line; no code of it runs, nothing is fetched, nothing is asked on
standard input, and memory and time stay within `MOST_BYTES` and `MOST_SECONDS`.
"""

import contextlib
import functools
import json
import os
import re
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from fuzz_changes import CHANGES, MARKER, good, packed, signed
from fuzz_messages import pick
from support.tiny_bundle import PARTS

from agent.bundle import MANIFEST, load_bundle
from agent.engines.memory import load_slots
from agent.engines.policy import load_policy
from agent.engines.retrieval import load_retriever
from agent.history import MemoryStep, empty_history

MOST_BYTES, MOST_SECONDS, ADDRESSES = 300 * 2**20, 10.0, 4 * 2**30
_NO_MEMORY = re.compile("MemoryError|not enough memory|allocate|paging")


def inputs(seed: int, n: int) -> Iterator[bytes]:
    """Yields n bundles; the same seed gives the same ones."""
    choose = np.random.default_rng(seed)
    for _ in range(n):
        files = dict(good(pick(choose, (*PARTS, "plain", "plain"))))
        for _ in range(int(pick(choose, (1, 1, 1, 2, 3)))):
            pick(choose, CHANGES)(choose, files)
        yield packed(signed(files) if choose.integers(10) else files)


def check(data: bytes) -> bool:
    """Loads one bundle and acts with it; returns whether it acted. Raises whatever must not happen."""
    with unpacked(data) as folder:
        try:
            return _acts(folder)
        except (ValueError, FileNotFoundError) as error:
            if _NO_MEMORY.search(str(error)):
                raise AssertionError(f"memory was asked for first: {error}") from error
            return False


@contextlib.contextmanager
def unpacked(data: bytes) -> Iterator[Path]:
    """The folder of a bundle; whatever must not happen to this process while it is used is raised at the end."""
    _limit()
    with tempfile.TemporaryDirectory() as place, _watched():
        folder = Path(place) / "bundle"
        folder.mkdir()
        _unpack(folder, data)
        yield folder


def _unpack(folder: Path, data: bytes) -> None:
    if not data.startswith(b'{"files": [['):  # of an earlier form of this corpus: a manifest alone
        (folder / MANIFEST).write_bytes(data)
        (folder / "clip").mkdir()
        return
    line, _, rest = data.partition(b"\n")
    for name, kind, length in json.loads(line)["files"]:
        content, rest = rest[:length], rest[length:]
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "file":
            path.write_bytes(content)
        elif kind == "link":
            path.symlink_to(os.fsdecode(content.replace(b"\0", b"")[:200]) or "x")
        else:
            os.mkfifo(path)


def _acts(folder: Path) -> bool:
    bundle = load_bundle(folder)
    retriever = load_retriever(bundle, device="cpu", cache_frames=8)
    slots = load_slots(bundle, device="cpu", slots=2, slot_bytes=2**24)
    policy = load_policy(bundle, device="cpu")
    size, k = bundle.manifest.observation, bundle.manifest.retrieval.k
    frames = [np.full((size.height, size.width, 3), value, np.uint8) for value in (0, 255)]
    words = retriever.retrieve(frames)
    assert all(len(one) == k and all(isinstance(word.text, str) for word in one) for one in words)
    step = MemoryStep("e", 0, tuple(word.row for word in words[1]), empty_history(bundle.digest))
    (vector,) = slots.remember([step])
    assert not isinstance(vector, Exception), vector
    for parameters, value in policy.decide([(one, vector.vector) for one in policy.encode(frames)]):  # type: ignore[union-attr]
        assert np.isfinite(parameters).all(), "numbers that are not finite"
        assert np.isfinite(value), "a value that is not finite"
    return True


@functools.cache
def _limit() -> None:
    """Once in a process: bounds its memory, and silences what transformers says about every load."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity(50)  # critical
    for parts in PARTS:
        good(parts)
    statm = Path("/proc/self/statm").read_text().split()
    most = int(statm[0]) * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    torch.set_num_threads(1)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    tried: list[str] = []

    def away(*what: object) -> None:
        tried.append(f"tried: {what[-1]}")
        raise OSError("not here")

    MARKER.unlink(missing_ok=True)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, begin = _status("VmRSS"), time.perf_counter()
    with mock.patch("socket.socket.connect", away), mock.patch("builtins.input", away):
        yield
    assert not tried, tried
    assert not MARKER.exists(), "code of the bundle has run"
    assert (taken := _status("VmHWM") - before) < MOST_BYTES, f"{taken / 2**20:.0f} MiB were taken"
    assert (seconds := time.perf_counter() - begin) < MOST_SECONDS, f"it took {seconds:.0f} s"


def _status(field: str) -> int:
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(field))
    return int(line.split()[1]) * 1024
