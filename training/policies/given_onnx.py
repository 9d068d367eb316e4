"""An ONNX file that somebody has -> the manifest's parts about it, from the file and the command's options.

Failure policy: ValueError names the input, output or option, what was expected and what the file has.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from agent.wordless.onnx_policy import onnx_inputs, state_bytes_of


def given_policy(path: Path, options: argparse.Namespace, *, stack: dict[str, Any]) -> tuple[dict[str, Any], Path]:
    """Returns the parts of the manifest, and the file."""
    inputs = onnx_inputs(path)
    if options.frame not in inputs:
        raise ValueError(f"--frame {options.frame}: expected an input of the file, it has {', '.join(inputs)}")
    pixels = inputs[options.frame]
    layout, observation = _observation(options, pixels.shape, stack)
    part: dict[str, Any] = {
        **{"kind": "onnx", "file": "policy.onnx", "frame": options.frame, "layout": layout},
        "parameters": options.parameters or ["parameters"],
    }
    if pixels.type == "tensor(float)":
        part["scale"] = options.scale
    if options.value:
        part["value"] = options.value
    if options.state:
        part["state"] = [_state(pair) for pair in options.state]
        part["state_bytes"] = state_bytes_of(inputs, [one["input"] for one in part["state"]])
    if not options.actions:
        raise ValueError('--actions: expected the action space as JSON, such as {"discrete": 4}, got none')
    return {
        "observation": observation,
        "actions": json.loads(options.actions) | ({"names": options.action} if options.action else {}),
        "policy": part,
        "provenance": {"source": "onnx", "file": path.name},
    }, path


def _state(pair: str) -> dict[str, str]:
    before, found, after = pair.partition("=")
    if not (before and found and after):
        raise ValueError(f"--state {pair}: expected INPUT=OUTPUT")
    return {"input": before, "output": after}


def _observation(options: argparse.Namespace, shape: list[Any], stack: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Layout and observation: what the file says of its sizes, and the options of the rest."""
    if len(shape) != 4:
        raise ValueError(f"--frame {options.frame}: expected (rows, height, width, channels) or channels first, got {shape}")
    possible = [channels * stack["stack"] for channels in ((options.channels,) if options.channels else (3, 1))]
    last = shape[3] in possible and shape[1] not in possible
    layout, sides = ("HWC", [*shape[1:3], shape[3]]) if last else ("CHW", [*shape[2:4], shape[1]])
    height, width, channels = sides
    if options.size:
        height, width = (int(side) for side in options.size.split("x"))
    if channels not in possible or not isinstance(height, int) or not isinstance(width, int):
        raise ValueError(
            f"--frame {options.frame}: expected {' or '.join(map(str, possible))} channels and a known size (--channels, "
            f"--frame-stack, --size), the file has {shape}"
        )
    return layout, {"height": height, "width": width, "channels": channels // stack["stack"], **stack}
