"""The number format of the frozen models: `float32`, `bfloat16`, `float16`, or `auto`.

`float16` is for the CPU: the language model's weights are stored in it, and arithmetic stays float32, as does all of
retrieval; a step of few episodes is limited by reading the weights.

`auto`, the default, is the fastest format that agrees with float32 on at least 99.5 % of the frames of every shipped agent
(docs/performance.md): float16 on a CPU (float32 where torch has no FBGEMM), float32 on other devices. bfloat16 agrees less
and has to be asked for; a CPU without instructions for it emulates it, several times slower than float32.

Failure: an unknown name, or float16 on another device, raises ValueError, which names the setting.
"""

from __future__ import annotations

import torch

from agent.memory import half_weights

NAMES = ("float32", "bfloat16", "float16", "auto")


def resolve_dtype(name: str, device: str) -> torch.dtype:
    """Returns the dtype that the setting SHELM_DTYPE stands for on `device`."""
    if name not in NAMES:
        raise ValueError(f"SHELM_DTYPE: expected one of {', '.join(NAMES)}, got {name!r}")
    kind = torch.device(device).type
    if name == "auto":
        name = "float16" if kind == "cpu" and half_weights.available() else "float32"
    if name == "float16" and kind != "cpu":
        raise ValueError(f"SHELM_DTYPE: float16 is for the CPU, the device is {device}")
    dtype: torch.dtype = getattr(torch, name)
    return dtype
