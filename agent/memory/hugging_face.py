"""A language model that transformers computes, read from a folder.

The library gives what a file lacks random values, and takes memory for whatever sizes the settings claim. Here every tensor
comes from the files, and no more memory is taken than they account for.

Failure policy: ValueError names the folder and what is wrong with its settings or tensors.
"""

from pathlib import Path
from typing import Any

import torch

from agent.memory.data_only import DATA_ONLY
from agent.memory.llama_weights import has_tensors, weight_files
from agent.tensor_checks import check_finite_module, check_size


def load_folder(folder: Path) -> Any:
    """Returns the base model in a folder with `config.json` and safetensors files, float32 on the CPU."""
    from transformers import AutoConfig, AutoModel

    if not has_tensors(folder):
        raise FileNotFoundError(f"{folder}: no model.safetensors, and no index of several files")
    files = weight_files(folder)
    with torch.device("meta"):
        described = AutoModel.from_config(AutoConfig.from_pretrained(folder, **DATA_ONLY), trust_remote_code=False)
    check_size(described, files, str(folder))
    model, loaded = AutoModel.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **DATA_ONLY
    )
    if missing := sorted({*loaded["missing_keys"], *(key for key, *_ in loaded["mismatched_keys"])}):
        raise ValueError(f"{folder}: no tensor {missing[0]} of the shape that config.json describes")
    check_finite_module(model, str(folder))
    return model
