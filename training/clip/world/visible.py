"""Determines what a MiniWorld agent sees: each object's visible pixels, a sign's readable text, and the kind of place.

Contract: works on any MiniWorld environment and does not change its state. An object's pixels are those that change when the
view is rendered without it. A line of a sign is readable if all of it is in the frame, nothing hides it and its letters are
at least `LETTER` pixels wide and high. A view's place follows from the distances to the walls: "wall" (one directly ahead),
"corridor" (walls on both sides) or "room". Failure: an entity of a kind without a word raises KeyError naming its mesh.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.clip.world.words import MESHES, Seen
from training.environments.miniworld_rendering import COLORS, Box, ObjMesh, TextFrame

CHANGED = 6  # grey levels
LETTER = 6.0  # pixels
UNHIDDEN = 0.6  # share of a text's area that must change without it; parts of the plate look like the wall
AHEAD, ASIDE, LONG = 1.6, 2.6, 3.0  # metres: a wall right ahead; walls on both sides; a corridor goes on so far
Frame = NDArray[np.uint8]


def name(entity: Any) -> tuple[str, str]:
    """Returns (kind, colour) of an entity as bare words; the colour is "" if it has none."""
    if isinstance(entity, TextFrame):
        return "sign", ""
    if isinstance(entity, Box):
        return "box", entity.color
    (path,) = (path for path, mesh in ObjMesh.cache.items() if mesh is entity.mesh)
    kind, _, colour = Path(path).stem.partition("_")
    return (kind, colour) if colour in COLORS else (MESHES[Path(path).stem], "")


def _draw_without(env: Any, entity: Any) -> Frame:
    everything = env.entities
    env.entities = [other for other in everything if other is not entity]
    if entity.is_static:
        env._render_static()
    frame: Frame = env.render_obs()
    env.entities = everything
    if entity.is_static:
        env._render_static()
    return frame


def _view(env: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Converts world points (n, 3) to (n, 3): metres ahead, to the right, above the camera."""
    offset = points - env.agent.cam_pos
    return np.stack([offset @ env.agent.dir_vec, offset @ env.agent.right_vec, offset[:, 1]], axis=1)


def _may_be_seen(env: Any, entity: Any) -> bool:
    """Returns False for entities that are certainly outside the frame, which saves rendering."""
    ((ahead, right, _),) = _view(env, np.asarray(entity.pos, float)[None])
    size = max(entity.radius, getattr(entity, "width", 0.0))
    return bool(ahead > -size and abs(right) < max(ahead, 0) * 0.95 + 2 * size + 0.3)


def legible(env: Any, sign: Any) -> tuple[bool, float]:
    """Returns whether a whole line is in the frame with sufficiently large letters, and its area in pixels; ignores
    occlusion.
    """
    side = np.array([math.sin(sign.dir), 0, math.cos(sign.dir)]) * sign.width / 2
    up = np.array([0, sign.height / 2, 0])
    corners = _view(env, np.asarray(sign.pos, float) + np.stack([-side - up, -side + up, side + up, side - up]))
    if corners[:, 0].min() < 0.3:
        return False, 0.0
    scale = env.obs_fb.height / 2 / math.tan(math.radians(env.agent.cam_fov_y) / 2)
    x, y = scale * corners[:, 1] / corners[:, 0], scale * corners[:, 2] / corners[:, 0]
    inside = np.abs(x).max() <= env.obs_fb.width / 2 and np.abs(y).max() <= env.obs_fb.height / 2
    wide, high = abs(x[2] - x[1]) / len(sign.str), min(abs(y[1] - y[0]), abs(y[2] - y[3]))
    area = wide * len(sign.str) * (abs(y[1] - y[0]) + abs(y[2] - y[3])) / 2
    return bool(inside and min(wide, high) >= LETTER), float(area)


def _readable(env: Any, sign: Any, pixels: int) -> bool:
    large, area = legible(env, sign)
    return large and pixels >= UNHIDDEN * area


def look(env: Any) -> tuple[Frame, list[Seen]]:
    """Returns the agent's frame uint8 (60, 80, 3) and the objects in it; the lines of a sign are one object."""
    frame = env.render_obs()
    things, plates = [], []
    for entity in env.entities:
        if entity is env.agent or not _may_be_seen(env, entity):
            continue
        changed = np.abs(frame.astype(np.int16) - _draw_without(env, entity)).max(axis=2) > CHANGED
        pixels = int(changed.sum())
        if isinstance(entity, TextFrame):
            plates.append((entity, pixels))
        elif pixels:
            things.append(Seen(*name(entity), pixels))
    if sum(pixels for _, pixels in plates):
        text = tuple(plate.str.lower() for plate, pixels in plates if _readable(env, plate, pixels))
        things.append(Seen("sign", "", sum(pixels for _, pixels in plates), text))
    return frame, things


def _distance(env: Any, turn: float) -> float:
    """Returns metres to the nearest wall, `turn` degrees to the right of the agent's direction; inf if there is none."""
    angle = env.agent.dir - math.radians(turn)
    ray = np.array([math.cos(angle), -math.sin(angle)])
    start, end = env.wall_segs[:, 0][:, [0, 2]], env.wall_segs[:, 1][:, [0, 2]]
    along, to = end - start, start - env.agent.pos[[0, 2]]
    cross = ray[0] * along[:, 1] - ray[1] * along[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        metres = (to[:, 0] * along[:, 1] - to[:, 1] * along[:, 0]) / cross
        share = (to[:, 0] * ray[1] - to[:, 1] * ray[0]) / cross
    hit = (metres > 0) & (share >= 0) & (share <= 1)
    return float(metres[hit].min(initial=math.inf))


def place(env: Any) -> str:
    """Returns the kind of place: wall, corridor or room."""
    ahead = _distance(env, 0)
    if ahead < AHEAD:
        return "wall"
    aside = max(_distance(env, turn) * math.sin(math.radians(abs(turn))) for turn in (-30, 30))
    return "corridor" if aside < ASIDE and ahead > LONG else "room"
