"""The number format of the frozen models: `float32`, `bfloat16`, `float16`, or `auto`.

`float16` is for the CPU: the language model's weights are stored in it, and arithmetic stays float32, as does all of
retrieval; a step of few episodes is limited by reading the weights.

`auto` is bfloat16 where the device multiplies matrices faster in it than in float32: CPUs with AMX or AVX-512 BF16
instructions, GPUs from compute capability 8.0. Elsewhere a CPU emulates bfloat16, several times slower than float32, and
`auto` is float16 (float32 where torch has no FBGEMM).

Failure: an unknown name, or float16 on another device, raises ValueError, which names the setting.
"""

from __future__ import annotations

import torch

from agent.memory import half_weights

NAMES = ("float32", "bfloat16", "float16", "auto")


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
    kind = torch.device(device).type
    if name == "auto":
        slower = "float16" if kind == "cpu" and half_weights.available() else "float32"
        name = "bfloat16" if fast_bfloat16(device) else slower
    if name == "float16" and kind != "cpu":
        raise ValueError(f"SHELM_DTYPE: float16 is for the CPU, the device is {device}")
    dtype: torch.dtype = getattr(torch, name)
    return dtype
