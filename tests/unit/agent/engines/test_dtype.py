"""SHELM_DTYPE: names, what `auto` is on which device, and the refusal of any other name."""

import pytest
import torch

from agent.engines.dtype import resolve_dtype
from agent.memory import half_weights


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
@pytest.mark.parametrize("device", ["cpu", "cuda:0", "meta"])
def test_a_named_dtype_is_that_on_every_device(name: str, dtype: torch.dtype, device: str) -> None:
    assert resolve_dtype(name, device) == dtype


@pytest.mark.parametrize(("fbgemm", "dtype"), [(True, torch.float16), (False, torch.float32)])
def test_auto_is_weights_in_float16_on_a_cpu(monkeypatch: pytest.MonkeyPatch, fbgemm: bool, dtype: torch.dtype) -> None:
    monkeypatch.setattr(half_weights, "available", lambda: fbgemm)
    assert resolve_dtype("auto", "cpu") == dtype


@pytest.mark.parametrize("device", ["cuda:0", "meta"])
def test_auto_is_float32_where_no_faster_format_is_known_to_agree(device: str) -> None:
    assert resolve_dtype("auto", device) == torch.float32


def test_float16_is_for_the_cpu() -> None:
    assert resolve_dtype("float16", "cpu") == torch.float16
    with pytest.raises(ValueError, match="SHELM_DTYPE: float16 is for the CPU, the device is cuda:0"):
        resolve_dtype("float16", "cuda:0")


@pytest.mark.parametrize("name", ["", "half", "BFLOAT16"])
def test_an_unknown_name_is_refused_with_the_setting(name: str) -> None:
    with pytest.raises(ValueError, match=rf"SHELM_DTYPE: expected one of float32, bfloat16, float16, auto, got '{name}'"):
        resolve_dtype(name, "cpu")
