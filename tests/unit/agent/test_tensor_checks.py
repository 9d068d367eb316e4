import pytest
import torch

from agent.tensor_checks import check_lm_token_ids, finite


def test_a_finite_tensor_is_returned_as_it_is() -> None:
    tensor = torch.zeros(2, 3)
    assert finite(tensor, "weights") is tensor


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_one_number_that_is_not_finite_is_refused_with_the_tensors_name(number: float, dtype: torch.dtype) -> None:
    tensor = torch.zeros(2, 3, dtype=dtype)
    tensor[1, 2] = number
    with pytest.raises(ValueError, match=r"^policy\.safetensors: actor: expected finite numbers"):
        finite(tensor, "policy.safetensors: actor")


def test_every_row_of_a_table_is_taken_and_what_is_beside_it_refused() -> None:
    check_lm_token_ids(torch.tensor([0, 59]), 60)
    for wrong in (-1, 60):
        with pytest.raises(ValueError, match=rf"lm_token_ids: expected 0\.\.59, got {wrong}"):
            check_lm_token_ids(torch.tensor([3, wrong]), 60)
