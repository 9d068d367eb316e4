"""What is said to transformers about every folder, and which settings of one are refused: a bundle is data.

Failure policy: ValueError names the folder and the setting of `config.json`.
"""

from pathlib import Path
from typing import Any

# Run no code of it (left unsaid, transformers asks on standard input), fetch nothing.
DATA_ONLY: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
# Settings that name code, the folder's or a hub's, or another reader of weights, with the words for the error.
_REFUSED = {
    "auto_map": "code of the folder",
    "custom_pipelines": "code of the folder",
    "attn_implementation": "code of a hub",
    "_attn_implementation": "code of a hub",
    "experts_implementation": "code of a hub",
    "_experts_implementation": "code of a hub",
    "quantization_config": "another library",
}
_ADAPTER = "adapter_config.json"
MOST_LAYERS = 1024


def check_data_only(config: dict[str, Any], folder: Path) -> None:
    """config: the content of the folder's `config.json`."""
    for name, what in _REFUSED.items():
        if config.get(name) is not None:
            raise ValueError(f"{folder}/config.json: {name}: expected none, it names {what}")
    if (folder / _ADAPTER).exists():
        raise ValueError(f"{folder}/{_ADAPTER}: expected none, it names another model")
    layers = config.get("num_hidden_layers", 1)
    if not isinstance(layers, int) or not 1 <= layers <= MOST_LAYERS:
        raise ValueError(f"{folder}/config.json: num_hidden_layers: expected 1..{MOST_LAYERS}, got {layers!a}")
