"""SHELM_DTYPE: names, what `auto` is on which device, and the refusal of any other name."""

import platform

import pytest
import torch

from agent.engines.dtype import fast_bfloat16, resolve_dtype
from agent.memory import half_weights

GENERATIONS = [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
@pytest.mark.parametrize("device", ["cpu", "cuda:0", "meta"])
def test_a_named_dtype_is_that_on_every_device(name: str, dtype: torch.dtype, device: str) -> None:
    assert resolve_dtype(name, device) == dtype


@pytest.mark.parametrize("able", [{"amx_bf16": True}, {"avx512_bf16": True, "amx_bf16": False}])
def test_auto_is_bfloat16_on_a_cpu_with_instructions_for_it(monkeypatch: pytest.MonkeyPatch, able: dict[str, bool]) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert resolve_dtype("auto", "cpu") == torch.bfloat16


@pytest.mark.parametrize("able", [{}, {"avx2": True, "amx_bf16": False, "avx512_bf16": False, "amx_int8": True}])
@pytest.mark.parametrize(("fbgemm", "dtype"), [(True, torch.float16), (False, torch.float32)])
def test_auto_is_weights_in_float16_on_any_other_cpu(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], fbgemm: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    monkeypatch.setattr(half_weights, "available", lambda: fbgemm)
    assert resolve_dtype("auto", "cpu") == dtype


def test_float16_is_for_the_cpu() -> None:
    assert resolve_dtype("float16", "cpu") == torch.float16
    with pytest.raises(ValueError, match="SHELM_DTYPE: float16 is for the CPU, the device is cuda:0"):
        resolve_dtype("float16", "cuda:0")


@pytest.mark.parametrize(("capability", "dtype"), GENERATIONS)
def test_auto_follows_the_generation_of_the_gpu(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_dtype("auto", "cuda:1") == dtype


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are the names of x86 processors")
def test_this_machine_is_asked_by_names_that_torch_knows() -> None:
    """A capability that torch renames would silently keep `auto` from bfloat16 everywhere."""
    assert {"amx_bf16", "avx512_bf16"} <= torch.cpu.get_capabilities().keys()
    assert isinstance(fast_bfloat16("cpu"), bool)


@pytest.mark.parametrize("name", ["", "half", "BFLOAT16"])
def test_an_unknown_name_is_refused_with_the_setting(name: str) -> None:
    with pytest.raises(ValueError, match=rf"SHELM_DTYPE: expected one of float32, bfloat16, float16, auto, got '{name}'"):
        resolve_dtype(name, "cpu")
