"""Draws a step: its frame, enlarged, and below it step, action, value and words, and how far the episode is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from shelm.export.recorded import Recorded
from shelm.results import MemoryStep
from shelm.texts import action_text

WIDTH = 320  # pixels, at least
TEXT, LINE, MARGIN, BAR = 15, 22, 8, 6  # pixels: size of the letters, height of a line, around it, of the bar at the bottom
WORDS = 6  # shown of each step, the most similar
BACKGROUND, PLAIN, FAINT, ACCENT = (17, 20, 26), (232, 234, 238), (72, 78, 90), (64, 156, 255)
NEAREST = getattr(Image, "Resampling", Image).NEAREST  # Pillow before 9.1 has it in the module
NOT_RECORDED = 96  # grey of a frame that is not there


class Painter:
    """Draws the steps of one episode, all of one size with even sides, as video needs them."""

    def __init__(self, episode: Recorded, height: int, width: int) -> None:
        """`height` and `width` are those of the frames."""
        self._episode, self._frame = episode, (height, width)
        self._scale = -(-WIDTH // width)
        self._lines = 1 + min(WORDS, max(len(step.tokens) for step in episode.steps))
        self._font = _font()
        tall = height * self._scale + 2 * MARGIN + self._lines * LINE + BAR
        self.size = (_even(max(WIDTH, width * self._scale)), _even(tall))
        """(width, height) of the pictures."""

    def paint(self, index: int, frame: NDArray[np.uint8] | None) -> Image.Image:
        """Returns the picture of the step at `index` of the episode; a frame that is not there is grey."""
        height, width = self._frame
        picture = Image.new("RGB", self.size, BACKGROUND)
        if frame is None or frame.shape[:2] != self._frame:
            frame = np.full((height, width, 3), NOT_RECORDED, np.uint8)
        enlarged = Image.fromarray(frame).resize((width * self._scale, height * self._scale), NEAREST)
        picture.paste(enlarged, ((self.size[0] - enlarged.width) // 2, 0))
        draw = ImageDraw.Draw(picture)
        self._caption(draw, self._episode.steps[index], enlarged.height + MARGIN)
        self._progress(draw, (index + 1) / len(self._episode.steps))
        return picture

    def _caption(self, draw: ImageDraw.ImageDraw, step: MemoryStep, top: int) -> None:
        action = action_text(step.action, self._episode.space)
        self._line(draw, top, f"step {step.step}   value {step.value:.3f}   -> {action}", PLAIN)
        for rank, token in enumerate(step.tokens[:WORDS], 1):
            low = top + rank * LINE
            reach = round(max(0.0, token.similarity) * (self.size[0] - 2 * MARGIN))
            draw.rectangle((MARGIN, low + LINE - 4, MARGIN + reach, low + LINE - 3), FAINT)
            self._line(draw, low, f"{token.text}  {token.similarity:.2f}", ACCENT if rank == 1 else PLAIN)

    def _line(self, draw: ImageDraw.ImageDraw, top: int, text: str, colour: tuple[int, int, int]) -> None:
        if not isinstance(self._font, ImageFont.FreeTypeFont):  # the letters of an old Pillow
            text = text.encode("latin-1", "replace").decode("latin-1")
        space, whole = self.size[0] - 2 * MARGIN, text
        while draw.textlength(text, font=self._font) > space:
            whole = whole[:-1]
            text = whole + "..."
        draw.text((MARGIN, top), text, colour, font=self._font)

    def _progress(self, draw: ImageDraw.ImageDraw, share: float) -> None:
        width, height = self.size
        draw.rectangle((0, height - BAR, width, height), FAINT)
        draw.rectangle((0, height - BAR, round(share * width) - 1, height), ACCENT)


def _even(size: int) -> int:
    return size + size % 2


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(TEXT)
    except TypeError:  # Pillow before 10.1 has one size
        return ImageFont.load_default()
