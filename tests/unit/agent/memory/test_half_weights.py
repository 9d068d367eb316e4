"""Weights in float16: near the float32 ones, exactly those that rounding gives, and made once."""

from typing import Any

import pytest
import torch
from support.slots import VISIBLE, VOCABULARY, Make, llama, relative_error, transformer_xl
from torch import nn

from agent.memory.half_weights import HalfLinear, halve


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 40), (5, 1, 40), (2, 3, 40), (0, 1, 40)])
def test_a_half_linear_computes_with_the_rounded_weights(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    linear, inputs = nn.Linear(40, 24, bias=bias), torch.randn(shape)
    half = HalfLinear(linear)
    linear.weight.data = linear.weight.data.half().float()
    with torch.inference_mode():
        torch.testing.assert_close(half(inputs), linear(inputs), rtol=1e-5, atol=1e-5)


def test_a_module_is_halved_once() -> None:
    module: Any = nn.ModuleDict({"wide": nn.Linear(4, 4), "narrow": nn.Linear(4, 4)})
    module.wide, module.narrow = nn.Linear(4, 4), nn.Linear(4, 4)
    halve(module, "wide")
    first = module.wide
    halve(module, "wide")
    assert module.wide is first
    assert isinstance(module.narrow, nn.Linear)


@pytest.mark.parametrize("make", [llama, transformer_xl])
def test_a_model_with_weights_in_float16_is_near_the_float32_one(make: Make) -> None:
    words = torch.randint(VOCABULARY, (12, 3, 1), generator=torch.Generator().manual_seed(0))

    def vectors(model: Any) -> Any:
        cache = model.new_cache(3)
        found = [model.step(cache, torch.arange(3), torch.full((3,), step), now) for step, now in enumerate(words)]
        return torch.stack(found).numpy()

    make.cache_clear()  # type: ignore[attr-defined]  # this one is changed, and no other test may get it
    model: Any = make(5, 1).model
    make.cache_clear()  # type: ignore[attr-defined]
    whole = vectors(model)
    model.halve()
    assert model.dtype == "float16"
    assert model.new_cache(1).keys.dtype == torch.float32
    assert 0 < relative_error(vectors(model), whole) < 10 * VISIBLE
