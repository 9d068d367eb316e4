"""Which models `agent.memory.llama` computes; that it computes them right is tested in test_slots.py and test_weights.py."""

from typing import Any

import pytest

from agent.memory.llama import read_config, unsupported

SMOLLM2: dict[str, Any] = {
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"},
}


@pytest.mark.parametrize("name", ["hidden_act", "rope_parameters"])
def test_a_setting_that_is_absent_has_the_librarys_default(name: str) -> None:
    assert unsupported({key: value for key, value in SMOLLM2.items() if key != name}) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_type", "qwen2"),
        ("hidden_act", "gelu"),
        ("attention_bias", True),
        ("mlp_bias", True),
        ("rope_scaling", {"rope_type": "llama3"}),
        ("rope_parameters", {"rope_type": "yarn", "rope_theta": 1e5}),
    ],
)
def test_a_model_that_is_computed_otherwise_is_left_to_the_library(name: str, value: object) -> None:
    assert unsupported({**SMOLLM2, name: value}) == name


def test_sizes_are_read_in_the_old_form_and_the_new() -> None:
    old = {key: value for key, value in SMOLLM2.items() if key != "rope_parameters"}
    assert read_config(SMOLLM2) == read_config({**old, "rope_theta": 100000.0, "head_dim": None})
    assert (read_config(SMOLLM2).head_dim, read_config(SMOLLM2).rope_theta) == (64, 100000.0)
