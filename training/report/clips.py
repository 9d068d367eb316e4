"""The generated part of docs/results/clip.md: the words that the small CLIPs retrieve for the environments' frames.

Reads minigrid.json (training.clip.evaluate), looks.json (training.clip.evaluate_looks), world.json
(training.clip.world.evaluate) and pictures.json (training.clip.pictures.evaluate). Failure policy: a missing file or field
ends the command.
"""

import json
from collections.abc import Mapping
from typing import Any

from training.report import tables

MOST = 8  # confusions named in a row


def generated(files: Mapping[str, str]) -> str:
    """Returns the tables. files: texts by name."""
    grid, looks, world, pictures = (json.loads(files[f"{name}.json"]) for name in ("minigrid", "looks", "world", "pictures"))
    objects = {name: one["one_object"] for name, one in world["environments"].items()}
    nothing = {name: one["nothing"] for name, one in world["environments"].items()}
    return "\n\n".join(
        [
            "## MiniGrid: frames with one kind of object",
            tables.grid(
                ["environment", "frames", "top-1, task's words", "top-1, all words", "wrong"],
                map(_grid, grid["environments"].items()),
            ),
            "## MiniGrid with colours and doors' states: frames with one object",
            tables.grid(_LOOKS, map(_looks, looks["environments"].items())),
            "## MiniWorld: frames with one clearly visible object",
            tables.grid([*_WORLD, "top-1, names of objects alone"], map(_objects, objects.items())),
            "## MiniWorld: the same by the thing's size, all environments",
            tables.grid(["pixels, of 4,800", "frames", "top-1, task's words"], _sizes(list(objects.values()))),
            "## MiniWorld: frames without objects, what place it is",
            tables.grid(_WORLD, map(_world, nothing.items())),
            "## Pictures of continuous recognition",
            tables.grid(_PICTURES, (_pictures(name, pictures[name]) for name in ("training", "held_out"))),
        ]
    )


_LOOKS = ["environment", "frames", "name first", "name, colour and state before all other words", "wrong"]
_WORLD = ["environment", "frames", "top-1, task's words", "top-1, all words", "top-4, all words", "wrong, all words"]
_PICTURES = [
    "pictures",
    "how many",
    "top-1",
    "top-4",
    "the same word from all gaze cells",
    "distinct words",
    "two share a word",
]


def _grid(row: tuple[str, dict[str, Any]]) -> list[str]:
    name, one = row
    whole = one["whole_vocabulary"]
    return [name, str(one["one_kind"]), _share(one["task_words"]["top1"]), _share(whole["top1"]), _wrong(whole["wrong"])]


def _looks(row: tuple[str, dict[str, Any]]) -> list[str]:
    name, one = row
    return [name, str(one["frames"]), _share(one["name_first"]), _share(one["all"]), _wrong(one["wrong"])]


def _world(row: tuple[str, dict[str, Any]]) -> list[str]:
    name, one = row
    whole = one["whole_vocabulary"]
    shares = [_share(one["task_words"]["top1"]), _share(whole["top1"]), _share(one["whole_top4"])]
    return [name, str(one["frames"]), *shares, _wrong(whole["wrong"])]


def _objects(row: tuple[str, dict[str, Any]]) -> list[str]:
    return [*_world(row), _share(row[1]["object_words"]["top1"])]


def _sizes(environments: list[dict[str, Any]]) -> list[list[str]]:
    """Returns the frames of all environments together, by the minimum pixels of each size class."""
    rows = []
    for size in environments[0]["by_size"]:
        right, frames = (sum(one["by_size"][size][at] for one in environments) for at in (0, 1))
        rows.append([f"from {size}", str(frames), _share(right / frames if frames else None)])
    return rows


def _pictures(name: str, one: dict[str, Any]) -> list[str]:
    shares = [_share(one[key]) for key in ("top1", "top4", "consistency")]
    return [name.replace("_", " "), str(one["pictures"]), *shares, str(one["distinct"]), f"{100 * one['collision']:.2f} %"]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _wrong(pairs: dict[str, int]) -> str:
    """Returns right word -> retrieved word with counts, most frequent first."""
    named = sorted(pairs.items(), key=lambda pair: -pair[1])
    more = ", ..." if len(named) > MOST else ""
    return ", ".join(f"{pair.replace('->', '&rarr;')} {count}" for pair, count in named[:MOST]) + more or "none"
