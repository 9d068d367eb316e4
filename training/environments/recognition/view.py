"""Renders what is seen: a flat panel in perspective, from a fixed point, for each of the gaze's cells.

Contract: a frame is a pure function of (picture or cross, gaze cell, colour of the button in view), so each is rendered once
and cached (about 0.3 MB per picture). Frames are uint8 (3, 64, 64). The panel is 112 units wide at a distance of 90.5, as in
the level; the field of view is such that the panel exactly fills the frame when the gaze is at its centre.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.environments.recognition.game import NEW, OLD, PITCH, YAW, Game
from training.environments.recognition.pictures import SIDE, Picture

SIZE = 64  # of a frame
PANEL = 128  # pixels of the drawn panel's side: the picture takes 0.75 of it
WIDTH, DISTANCE = 112.0, 90.5
HALF_VIEW = WIDTH / 2 / DISTANCE  # tangent of half the field of view
CELL = np.arctan(0.45 * WIDTH / DISTANCE) / YAW  # so that the outermost cell is the middle of a button
ROOM = (96, 96, 104)
RED, GREEN, BLACK = (208, 32, 32), (32, 176, 32), (0, 0, 0)
CELLS = [(yaw, pitch) for pitch in range(-PITCH, PITCH + 1) for yaw in range(-YAW, YAW + 1)]
PLACE = {cell: place for place, cell in enumerate(CELLS)}
WRONG = {NEW: len(CELLS), OLD: len(CELLS) + 1}  # views of a red button; at the same cells a green one is seen else
VIEWS = len(CELLS) + 2
CROSS = 0  # the cross's place among the contents; picture i is at i + 1


def panel(picture: Picture | None, left: tuple[int, int, int] = BLACK, right: tuple[int, int, int] = BLACK) -> Image.Image:
    """Returns the whole panel: the cross, or a picture between two buttons of the given colours."""
    image = Image.new("RGB", (PANEL, PANEL), "white")
    pen = ImageDraw.Draw(image)
    middle, arm, side = PANEL / 2, 0.05 * PANEL, 0.1 * PANEL
    if picture is None:
        pen.rectangle((middle - arm, middle - 1, middle + arm, middle), RED)
        pen.rectangle((middle - 1, middle - arm, middle, middle + arm), RED)
        return image
    image.paste(Image.fromarray(picture.pixels), ((PANEL - SIDE) // 2, (PANEL - SIDE) // 2))
    pen.rectangle((0, middle - side / 2, side, middle + side / 2), left)
    pen.rectangle((PANEL - side, middle - side / 2, PANEL, middle + side / 2), right)
    return image


def sight(yaw: float, pitch: float) -> NDArray[np.intp]:
    """Returns the panel pixel for each of 2 x 2 samples of a frame's pixels, (2 SIZE, 2 SIZE); PANEL**2 means the room.

    yaw, pitch: radians, right and down positive.
    """
    at = ((np.arange(2 * SIZE) + 0.5) / SIZE - 1) * HALF_VIEW
    x, y = np.meshgrid(at, at)
    y, z = y * np.cos(pitch) + np.sin(pitch), np.cos(pitch) - y * np.sin(pitch)
    x, z = x * np.cos(yaw) + z * np.sin(yaw), z * np.cos(yaw) - x * np.sin(yaw)
    column, row = (np.floor((part / z * DISTANCE / WIDTH + 0.5) * PANEL).astype(np.intp) for part in (x, y))
    inside = (column >= 0) & (column < PANEL) & (row >= 0) & (row < PANEL) & (z > 0)
    return np.where(inside, row * PANEL + column, PANEL**2)


def look(image: Image.Image, samples: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Returns a panel as seen along `samples` (views, 2 SIZE, 2 SIZE): uint8 (views, 3, SIZE, SIZE)."""
    colours = np.concatenate([np.asarray(image).reshape(-1, 3), np.array([ROOM], np.uint8)])
    seen = colours.astype(np.uint16)[samples]
    four = seen[:, ::2, ::2] + seen[:, ::2, 1::2] + seen[:, 1::2, ::2] + seen[:, 1::2, 1::2]
    return ((four + 2) // 4).astype(np.uint8).transpose(0, 3, 1, 2)


class Gallery:
    """The views of the cross and of a set of pictures, rendered when first needed."""

    _samples = np.stack([sight(yaw * CELL, pitch * CELL) for yaw, pitch in CELLS])

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self.pictures = pictures
        # The operating system allocates memory only for pages that are written.
        self._frames = np.zeros((len(pictures) + 1, VIEWS, 3, SIZE, SIZE), np.uint8)
        self._rendered = [False] * len(self._frames)

    def frames(self, games: Sequence[Game]) -> NDArray[np.uint8]:
        """Returns the frame of each game, uint8 (games, 3, SIZE, SIZE)."""
        contents = [CROSS if game.picture is None else game.picture + 1 for game in games]
        return self.views(contents, [_view(game) for game in games])

    def views(self, contents: Sequence[int], views: Sequence[int]) -> NDArray[np.uint8]:
        """Returns frames by content (CROSS, or 1 + index of the picture) and view (index in CELLS, or one of WRONG)."""
        for content in contents:
            if not self._rendered[content]:
                self._render(content)
        return self._frames[contents, views]

    def look_at(self, picture: Picture, cell: int) -> NDArray[np.uint8]:
        """Returns the view of any picture from CELLS[cell] before an answer: uint8 (3, SIZE, SIZE)."""
        frame: NDArray[np.uint8] = look(panel(picture), self._samples[[cell]])[0]
        return frame

    def _render(self, content: int) -> None:
        picture = None if content == CROSS else self.pictures[content - 1]
        self._frames[content, : len(CELLS)] = look(panel(picture), self._samples)
        for cell, wrong in WRONG.items():
            for view, colour in ((PLACE[cell], GREEN), (wrong, RED)):
                sides = (colour, BLACK) if cell == NEW else (BLACK, colour)
                self._frames[content, view] = look(panel(picture, *sides), self._samples[[PLACE[cell]]])[0]
        self._rendered[content] = True


def _view(game: Game) -> int:
    return WRONG[game.gaze] if game.right is False else PLACE[game.gaze]
