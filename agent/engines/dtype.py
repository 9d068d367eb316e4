"""The number format in which a frozen model computes: `float32`, `bfloat16`, or `auto`.

`auto` is bfloat16 where the device multiplies matrices faster in it than in float32: CPUs with AMX or AVX-512 BF16
instructions, GPUs from compute capability 8.0. Elsewhere a CPU emulates bfloat16, several times slower than float32.

Failure: an unknown name raises ValueError, which names the setting.
"""

from __future__ import annotations

import torch

NAMES = ("float32", "bfloat16", "auto")


def fast_bfloat16(device: str) -> bool:
    """Returns whether the device has instructions for products of bfloat16 matrices."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
    if kind == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("amx_bf16") or able.get("avx512_bf16"))
    return False


def resolve_dtype(name: str, device: str) -> torch.dtype:
    """Returns the dtype that the setting SHELM_DTYPE stands for on `device`."""
    if name not in NAMES:
        raise ValueError(f"SHELM_DTYPE: expected one of {', '.join(NAMES)}, got {name!r}")
    if name == "auto":
        name = "bfloat16" if fast_bfloat16(device) else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32
