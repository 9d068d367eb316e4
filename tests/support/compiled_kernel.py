"""Compiles the kernel over memory slots for GPUs, on a machine without one: `python -m support.compiled_kernel`.

A process of its own, because Triton decides when it is imported whether kernels are interpreted. Prints, as JSON, the bytes
of machine code for each case: number format of the rings, biases or none, queries, and compute capability.
"""

import json

import triton
from triton.backends.compiler import GPUTarget  # type: ignore[import-untyped]
from triton.compiler import ASTSource  # type: ignore[import-untyped]

from agent.memory.ring_kernel import BLOCK, _kernel

RINGS = ("queries", "keys", "values", "bias")
CONSTANTS = ("has_bias", "queried", "width", "block")


def main() -> None:
    """Prints the sizes."""
    found: dict[str, int] = {}
    cases = (("bf16", True, 4, 90), ("fp32", False, 1, 80))
    for kind, bias, queries, capability in cases:
        signature = dict.fromkeys(RINGS, f"*{kind}") | {"slots": "*i64"} | dict.fromkeys(("out", "peaks", "sums"), "*fp32")
        signature |= dict.fromkeys(("count", "capacity", "heads", "size", "part_length"), "i32")
        signature |= dict.fromkeys(CONSTANTS, "constexpr")
        constants = {"has_bias": bias, "queried": queries, "width": 64, "block": BLOCK // queries}
        source = ASTSource(fn=_kernel(), signature=signature, constexprs=constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        found[f"{kind}, {'bias' if bias else 'no bias'}, {queries} queries, sm_{capability}"] = len(compiled.asm["cubin"])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
