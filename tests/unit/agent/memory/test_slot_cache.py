"""Memory slots take no more memory than they are allowed, and none before they are used."""

from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import torch

from agent.bundle import load_bundle
from agent.engines.memory import load_slots
from agent.history import MemoryStep, MemoryVector
from agent.memory.slot_cache import SlotCache

BUNDLE = load_bundle(Path(__file__).parents[4] / "models" / "minigrid-memory")
K = BUNDLE.manifest.retrieval.k


def test_a_slot_takes_memory_once_it_is_used() -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    cache = SlotCache(layers=18, slots=40, heads=16, head_dim=64, window=511, tokens_per_step=1)
    assert cache.slot_bytes == 2 * 18 * 16 * 511 * 64 * 4
    assert process.memory_info().rss - before < cache.slot_bytes
    cache.clear(3)  # of what was never written
    assert process.memory_info().rss - before < cache.slot_bytes
    cache.restore([7], [510], [torch.ones(1, 2, 16, 510, 64)] * 18)
    used = process.memory_info().rss - before
    assert cache.slot_bytes / 2 < used < 4 * cache.slot_bytes  # of 40; the system's pages may be as large as a layer's part
    cache.clear(7)
    assert not cache.keys[:, 7].any()
    assert not cache.values[:, 7].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_unused_slot_is_zero(dtype: torch.dtype) -> None:
    cache = SlotCache(layers=2, slots=3, heads=2, head_dim=4, window=5, tokens_per_step=1, dtype=dtype)
    assert cache.keys.dtype == cache.values.dtype == dtype
    assert cache.keys.shape == cache.values.shape == (2, 3, 2, 5, 4)
    assert not cache.keys.any()
    assert not cache.values.any()


@pytest.mark.parametrize(("budget", "expected"), [(None, 6), (10**12, 6), (3.5, 3), (0.5, 1)])
def test_the_bytes_that_are_allowed_bound_the_slots(budget: float | None, expected: int) -> None:
    """budget: in slots' bytes."""
    slot = load_slots(BUNDLE, device="cpu", slots=1)._cache.slot_bytes
    allowed = None if budget is None else int(budget * slot)
    slots = load_slots(BUNDLE, device="cpu", slots=6, slot_bytes=allowed)
    assert slots.counts.slots == slots.capacity == expected
    for i in range(8):
        (answer,) = slots.remember([MemoryStep(f"episode-{i}", 0, (i,) * K, slots.check.empty)])
        assert isinstance(answer, MemoryVector)
    assert slots.counts.used == expected
