"""An episode inside a notebook: a heat map of its words by step, its values, and a scrubber with the recorded frames.

Contract: `show` reads the episode once, when it is called; what it returns displays itself (`_repr_html_`) and is kept with
the notebook. The page is one HTML text in a frame of its own, which loads nothing. Failure policy: `ShelmError` as reading
raises it; frames that are not recorded, or beyond `FRAME_BYTES`, are left out.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from PIL import Image

from shelm.episode import Episode
from shelm.errors import InvalidArgument
from shelm.export.recorded import Recorded, frames_of, read
from shelm.reader import Reader
from shelm.texts import action_text

WORDS = 20  # rows of the heat map: the words of most steps
FRAME_BYTES = 8_000_000  # of PNG files in one page
ROW, REST = 18, 190  # pixels: height of a row, of what is around the rows at least
LEAST = 280  # pixels: the frame beside them


@dataclass(frozen=True)
class Shown:
    """An episode that displays itself in a notebook."""

    episode_id: str
    page: str
    """A complete HTML page."""
    height: int
    """Pixels."""

    def _repr_html_(self) -> str:
        """Returns the page in a frame of its own."""
        source = html.escape(self.page, quote=True)
        style = f"width: 100%; height: {self.height}px; border: 0"
        return f'<iframe srcdoc="{source}" sandbox="allow-scripts" title="{self.episode_id}" style="{style}"></iframe>'


def show(episode: Episode | str, client: Reader | None = None) -> Shown:
    """Returns what a notebook displays of an episode: one that `Client.episode` gave, or an id and the client."""
    if isinstance(episode, Episode):
        client, episode = client or episode.client, episode.episode_id
    if client is None:
        raise InvalidArgument("client: needed to read an episode by its id: show(episode_id, client)")
    found = read(client, episode)
    words = [word for word, _ in Counter(token.text for step in found.steps for token in step.tokens).most_common(WORDS)]
    steps = [
        {
            "step": step.step,
            "words": [[token.text, token.similarity] for token in step.tokens],
            "action": action_text(step.action, found.space),
            "value": step.value,
        }
        for step in found.steps
    ]
    content = {"head": _head(found), "words": words, "steps": steps, "frames": list(_frames(client, found))}
    text = json.dumps(content).replace("<", "\\u003c")  # nothing in it ends the script
    page = resources.files("shelm").joinpath("notebook.html").read_text(encoding="utf-8").replace("EPISODE", text, 1)
    return Shown(episode, page, max(LEAST, REST + len(words) * ROW))


def _head(found: Recorded) -> str:
    info = found.info
    reward = "" if info.total_reward is None else f", reward {info.total_reward:.3f}"
    return f"{info.episode_id}, {info.agent}, {len(found.steps)} steps{reward}"


def _frames(client: Reader, found: Recorded) -> Iterator[str | None]:
    left = FRAME_BYTES
    for frame in frames_of(client, found):
        if frame is None or left < 0:
            yield None
            continue
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "PNG")
        left -= buffer.tell()
        yield base64.b64encode(buffer.getvalue()).decode()
