"""A function of an installed package that makes a policy -> the manifest's parts about it.

Failure policy: ValueError names the option that lacks.
"""

import argparse
import importlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any


def entry_point_policy(options: argparse.Namespace, *, stack: dict[str, Any]) -> dict[str, Any]:
    """Returns the parts of the manifest. Imports the function and calls it, to learn the size of its state."""
    for option in ("package", "size", "actions"):
        if not getattr(options, option):
            raise ValueError(f"--{option}: --entry-point needs it")
    module, _, name = options.entry_point.partition(":")
    made = getattr(importlib.import_module(module), name)(Path(options.out))
    height, width = (int(side) for side in options.size.split("x"))
    return {
        "observation": {"height": height, "width": width, "channels": options.channels or 3, **stack},
        "actions": json.loads(options.actions) | ({"names": options.action} if options.action else {}),
        "policy": {
            "kind": "entry_point",
            "entry_point": options.entry_point,
            "package": options.package,
            "version": version(options.package),
            "state_bytes": made.state_bytes,
        },
        "provenance": {"source": "entry point"},
    }
