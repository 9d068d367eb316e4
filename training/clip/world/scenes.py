"""Random MiniWorld worlds: rooms, halls, junctions and mazes, with any of the entities and signs.

Contract: `Scenes.draw` is a pure function of the generator: frames uint8 (rows, 60, 80, 3) with their captions. No world is
one of MiniWorld's tasks, though textures and objects are MiniWorld's; half of the worlds have random light, camera and
textures. Views in which something is only just visible are discarded.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.clip.world.layouts import build
from training.clip.world.visible import look, place
from training.clip.world.words import CLEAR, COLOURS, MESHES, Said, Seen, caption
from training.environments.miniworld_rendering import Ball, Box, Key, MeshEnt, MiniWorldEnv, TextFrame

POSES = 16  # views of one world
KIND_SHARES = {"box": 0.36, "ball": 0.13, "key": 0.19, "medkit": 0.11}  # the rest in equal parts
COUNT_SHARES = (0.12, 0.3, 0.22, 0.16, 0.12, 0.08)  # of 0..5 objects
SIGN, TWO_LINES, SAME_KIND, RANDOMISED, CARRIED = 0.6, 0.7, 0.35, 0.5, 0.06
Frames = NDArray[np.uint8]


class _World(MiniWorldEnv):  # type: ignore[misc]
    """A world that is rebuilt at each reset; all its entities are redrawn with every frame."""

    def _gen_world(self) -> None:
        rng = self.np_random
        build(self, rng)
        self.place_agent()
        if rng.random() < SIGN:
            self._hang_sign(rng)
        kinds = _draw_kinds(rng)
        for kind in kinds:
            _place(self, _make(kind, rng), rng)

    def _hang_sign(self, rng: np.random.Generator) -> None:
        """Hangs a sign of one or two lines on a wall that is long enough for it."""
        lines = _draw_text(rng)
        height = rng.uniform(0.85, 1.1)
        width = max(map(len, lines)) * height + 0.2
        walls = [wall for wall in self.wall_segs if np.linalg.norm(wall[1] - wall[0]) > width]
        if not walls:
            return
        start, end = walls[rng.integers(len(walls))]
        along = (end - start) / np.linalg.norm(end - start)
        middle = start + along * rng.uniform(width / 2, np.linalg.norm(end - start) - width / 2)
        inward = np.array([along[2], 0, -along[0]])
        if not any(room.point_inside(middle + 0.3 * inward) for room in self.rooms):
            inward = -inward
        at = (1.9, 0.85) if len(lines) == 2 else (rng.uniform(1.2, 1.7),)
        for text, y in zip(lines, at, strict=True):
            plate = TextFrame(pos=[middle[0], y, middle[2]], dir=math.atan2(-inward[2], inward[0]), str=text, height=height)
            self.entities.append(plate)


def _free(world: Any, entity: Any, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Returns a random position at which `entity` touches nothing, or None after 40 failed attempts."""
    for _ in range(40):
        room = world.rooms[rng.choice(len(world.rooms), p=world.room_probs)]
        position = np.array([rng.uniform(room.min_x, room.max_x), 0, rng.uniform(room.min_z, room.max_z)])
        if room.point_inside(position) and not world.intersect(entity, position, entity.radius):
            return position
    return None


def _place(world: Any, entity: Any, rng: np.random.Generator) -> None:
    """Puts an entity into the world if it fits; MiniWorld itself would try forever."""
    position = _free(world, entity, rng)
    if position is not None:
        world.place_entity(entity, pos=position, dir=rng.uniform(-math.pi, math.pi))


def _draw_text(rng: np.random.Generator) -> tuple[str, ...]:
    colour = str(rng.choice(("BLUE", "RED", "GREEN") if rng.random() < 0.75 else ("YELLOW", "PURPLE", "GREY")))
    kind = str(rng.choice(("BOX", "KEY", "BALL"), p=(0.45, 0.45, 0.1)))
    return (colour, kind) if rng.random() < TWO_LINES else (colour,)


def _draw_kinds(rng: np.random.Generator) -> list[str]:
    others = [mesh for mesh in MESHES if mesh not in KIND_SHARES]
    rest = (1 - sum(KIND_SHARES.values())) / len(others)
    kinds, shares = [*KIND_SHARES, *others], [*KIND_SHARES.values(), *[rest] * len(others)]
    drawn = [str(kind) for kind in rng.choice(kinds, rng.choice(6, p=COUNT_SHARES), p=shares)]
    return drawn[:1] * len(drawn) if rng.random() < SAME_KIND else drawn


def _make(kind: str, rng: np.random.Generator) -> Any:
    colour = str(rng.choice(COLOURS))
    if kind == "box":
        return Box(color=colour, size=float(rng.uniform(0.6, 0.9)))
    if kind == "ball":
        return Ball(color=colour, size=float(rng.uniform(0.6, 0.9)))
    if kind == "key":
        key = Key(color=colour)
        return MeshEnt(mesh_name=f"key_{colour}", height=0.6, static=False) if rng.random() < 0.4 else key
    heights = {"medkit": 0.4, "keycard": 0.35, "duckie": 0.45, "potion": 0.5, "building": 2.2, "tree": 2.0}
    return MeshEnt(mesh_name=kind, height=heights.get(kind, 0.9) * float(rng.uniform(0.9, 1.3)), static=False)


class Scenes:
    """The only world of this process, rebuilt repeatedly."""

    def __init__(self) -> None:
        self.world = _World()

    def draw(self, rng: np.random.Generator, rows: int) -> tuple[Frames, list[Said]]:
        """Returns `rows` views with captions, `POSES` per world."""
        frames: list[Frames] = []
        said: list[Said] = []
        while len(frames) < rows:
            self.world.domain_rand = bool(rng.random() < RANDOMISED)
            self.world.reset(seed=int(rng.integers(2**31)))
            for _ in range(min(POSES, rows - len(frames))):
                frame, words = self._view(rng)
                frames.append(frame)
                said.append(words)
        return np.stack(frames), said

    def _view(self, rng: np.random.Generator) -> tuple[Frames, Said]:
        while True:
            self._pose(rng)
            frame, things = self._look(rng)
            if not _doubtful(things):
                return frame, caption(things, place(self.world))

    def _look(self, rng: np.random.Generator) -> tuple[Frames, list[Seen]]:
        """Returns what the agent sees; sometimes with an object in the agent's hands, where MiniWorld would put it."""
        world = self.world
        carried = [e for e in world.entities if e is not world.agent and not isinstance(e, TextFrame) and e.radius < 1]
        if not carried or rng.random() >= CARRIED:
            return look(world)
        entity = carried[rng.integers(len(carried))]
        before = entity.pos, entity.dir
        entity.pos, entity.dir = world._get_carry_pos(world.agent.pos, entity), world.agent.dir
        seen = look(world)
        entity.pos, entity.dir = before
        return seen

    def _pose(self, rng: np.random.Generator) -> None:
        """Places the agent; in three of four cases it roughly faces one of the objects."""
        world, agent = self.world, self.world.agent
        things = [entity for entity in world.entities if entity is not agent]
        signs = [entity for entity in things if isinstance(entity, TextFrame)]
        if not things or rng.random() < 0.25:
            return self._anywhere(rng)
        target = signs[0] if signs and rng.random() < 0.75 else things[rng.integers(len(things))]
        for _ in range(20):
            away, towards = rng.uniform(1.0, 9.0), rng.uniform(-math.pi, math.pi)
            if target in signs:  # before it, about where it can be read
                away, towards = rng.uniform(2.5, 8.5), target.dir + math.pi + rng.uniform(-0.8, 0.8)
            position = np.array([target.pos[0] - away * math.cos(towards), 0, target.pos[2] + away * math.sin(towards)])
            inside = any(room.point_inside(position) for room in world.rooms)
            if inside and not world.intersect(agent, position, agent.radius):
                agent.pos, agent.dir = position, towards + rng.uniform(-0.5, 0.5) * (0.6 if target in signs else 1)
                return None
        return self._anywhere(rng)

    def _anywhere(self, rng: np.random.Generator) -> None:
        position = _free(self.world, self.world.agent, rng)
        if position is not None:
            self.world.agent.pos = position
        self.world.agent.dir = rng.uniform(-math.pi, math.pi)


def _doubtful(things: list[Seen]) -> bool:
    return any(thing.pixels for thing in things) and max(thing.pixels for thing in things) < CLEAR
