"""Runs the kernel over memory slots in Triton's interpreter: `TRITON_INTERPRET=1 python -m support.interpreted_kernel`.

A process of its own, because Triton decides when it is imported whether kernels are interpreted. Prints, as JSON, the
largest difference from the plain path in each case.
"""

import copy
import json
from itertools import product

import torch

from agent.memory.ring_kernel import BLOCK, difference, usable
from agent.memory.slot_cache import SlotCache


def of_the_cache() -> float:
    """The same for a cache that reads its rings with the kernel."""
    cache = SlotCache(layers=2, slots=4, heads=2, head_dim=16, window=9, tokens_per_step=1)
    draws = torch.Generator().manual_seed(0)
    cache._store.copy_(torch.randn(cache._store.shape, generator=draws))
    with_kernel = copy.copy(cache)
    with_kernel._in_kernel = True
    slots, queries, bias = (
        torch.tensor([1, 3]),
        torch.randn(4, 1, 16, generator=draws),
        torch.randn(4, 1, 9, generator=draws),
    )
    plain, found = (
        torch.stack([one.attend(layer, slots, one.runs([1, 3]), queries, bias) for layer in range(2)])
        for one in (cache, with_kernel)
    )
    return float((found - plain).abs().max())


def main() -> None:
    """Prints the differences."""
    float32, found = torch.float32, dict[str, float]()
    for count, capacity, bias in product((1, 2, 3, 9), (1, 7, BLOCK, 2 * BLOCK + 3), (False, True)):
        name = f"{count} queries, {capacity} positions{', bias' if bias else ''}"
        found[name] = difference(float32, count=count, capacity=capacity, size=16, slots=[5, 0, 3], bias=bias)
    found["one row in many parts, odd size"] = difference(float32, count=1, capacity=200, slots=[1], heads=1, size=24)
    found["the cache"] = of_the_cache()
    found["bfloat16"] = difference(torch.bfloat16, count=2, capacity=70, slots=[0, 2], size=32)
    found["usable"] = float(usable(torch.device("cpu"), float32))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
