"""Floor plans of random worlds: one room, a hall, a T, a Y, four rooms, an L, a maze.

Contract: `build(world, rng)` adds rooms to a MiniWorld world that has none; all rooms share their textures.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

WALLS = {"concrete": 0.5, "brick_wall": 0.22, "cinder_blocks": 0.14, "stucco": 0.05, "wood_planks": 0.05, "drywall": 0.04}
FLOORS = {"floor_tiles_bw": 0.55, "asphalt": 0.15, "slime": 0.12, "grass": 0.06, "concrete": 0.06, "wood": 0.06}
OPEN_SKY = 0.25
GAP = 0.25  # metres of wall between rooms


def _one_room(world: Any, rng: np.random.Generator, looks: dict[str, Any]) -> None:
    world.add_rect_room(min_x=0, max_x=rng.uniform(4, 17), min_z=0, max_z=rng.uniform(4, 17), **looks)


def _hall(world: Any, rng: np.random.Generator, looks: dict[str, Any]) -> None:
    world.add_rect_room(min_x=0, max_x=rng.uniform(7, 18), min_z=0, max_z=rng.uniform(2.4, 4.2), **looks)


def _tee(world: Any, rng: np.random.Generator, looks: dict[str, Any]) -> None:
    """A hall that opens into the side of another."""
    length, width, reach = rng.uniform(5, 11), rng.uniform(2.5, 4.2), rng.uniform(5, 9)
    stem = world.add_rect_room(min_x=0, max_x=length, min_z=-width / 2, max_z=width / 2, **looks)
    bar = world.add_rect_room(min_x=length, max_x=length + width, min_z=-reach, max_z=reach, **looks)
    world.connect_rooms(stem, bar, min_z=-width / 2, max_z=width / 2)


def _wye(world: Any, rng: np.random.Generator, looks: dict[str, Any]) -> None:
    """Three arms that meet at the sides of a triangle."""
    half, length = rng.uniform(1.5, 2.2), rng.uniform(5, 9)
    near, tip = -half / math.sqrt(3), 2 * half / math.sqrt(3)
    arm = np.array([[near - length, -half], [near - length, half], [near, half], [near, -half]])
    hub = world.add_room(outline=np.array([[near, -half], [near, half], [tip, 0]]), **looks)
    # a little less than the sides, which rounding might make too short
    for turn, low, high in ((0, -0.998, 0.998), (120, -0.998, -0.002), (-120, 0.002, 0.998)):
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        room = world.add_room(outline=arm @ np.array([[cos, sin], [-sin, cos]]), **looks)
        world.connect_rooms(room, hub, min_z=low * half, max_z=high * half)


def _four_rooms(world: Any, rng: np.random.Generator, looks: dict[str, Any]) -> None:
    size, wall, door = rng.uniform(4.5, 7.5), rng.uniform(0.5, 2.0), rng.uniform(2.0, 2.8)
    low, high = (-wall / 2 - size, -wall / 2), (wall / 2, wall / 2 + size)
    spans = ((low, low), (high, low), (high, high), (low, high))
    rooms = [world.add_rect_room(min_x=x[0], max_x=x[1], min_z=z[0], max_z=z[1], **looks) for x, z in spans]
    middle = wall / 2 + size / 2
    for a, b, axis, at in ((0, 1, "z", -middle), (1, 2, "x", middle), (2, 3, "z", middle), (3, 0, "x", -middle)):
        world.connect_rooms(rooms[a], rooms[b], **{f"min_{axis}": at - door / 2, f"max_{axis}": at + door / 2})


def _ell(world: Any, rng: np.random.Generator, looks: dict[str, Any]) -> None:
    """Three rooms round a corner."""
    long, short, deep = rng.uniform(8, 12), rng.uniform(4, 7), rng.uniform(5, 7.5)
    first = world.add_rect_room(min_x=0, max_x=long, min_z=0, max_z=deep, **looks)
    second = world.add_rect_room(min_x=0, max_x=short, min_z=deep + GAP, max_z=2 * deep, **looks)
    third = world.add_rect_room(min_x=short, max_x=long, min_z=deep + GAP, max_z=2 * deep, **looks)
    world.connect_rooms(first, second, min_x=0, max_x=short)
    world.connect_rooms(second, third, min_z=deep + GAP, max_z=2 * deep)


def _maze(world: Any, rng: np.random.Generator, looks: dict[str, Any]) -> None:
    """A maze of two or three cells per side; every cell is connected to an earlier one, some to both."""
    side, cell = int(rng.integers(2, 4)), rng.uniform(2.6, 3.4)
    step = cell + GAP
    rooms = {}
    for i, j in np.ndindex(side, side):
        x, z = i * step, j * step
        rooms[i, j] = world.add_rect_room(min_x=x, max_x=x + cell, min_z=z, max_z=z + cell, **looks)
    for (i, j), room in rooms.items():
        before = [(a, b) for a, b in ((i - 1, j), (i, j - 1)) if (a, b) in rooms]
        keep = rng.permutation(len(before))[: 1 + int(rng.random() < 0.25)]
        for a, b in (before[index] for index in keep):
            axis, at = ("z", j * step) if b == j else ("x", i * step)
            world.connect_rooms(rooms[a, b], room, **{f"min_{axis}": at, f"max_{axis}": at + cell})


PLANS = ((_one_room, 0.3), (_hall, 0.08), (_tee, 0.12), (_wye, 0.12), (_four_rooms, 0.12), (_ell, 0.12), (_maze, 0.14))


def build(world: Any, rng: np.random.Generator) -> None:
    """Builds one random floor plan."""
    looks = {
        "wall_tex": str(rng.choice(list(WALLS), p=list(WALLS.values()))),
        "floor_tex": str(rng.choice(list(FLOORS), p=list(FLOORS.values()))),
        "no_ceiling": bool(rng.random() < OPEN_SKY),
    }
    plans, shares = zip(*PLANS, strict=True)
    plans[rng.choice(len(plans), p=shares)](world, rng, looks)
