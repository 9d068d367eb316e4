"""`MiniWorld-SignVarying-v0`: MiniWorld's Sign with a sign that must be read and remembered.

The registered `MiniWorld-Sign-v0` always says BLUE and always wants the box, so it needs no memory (paper-facts section 7).
Here every episode draws one of the six objects; the sign says its colour and, below, its kind ("RED" "KEY"). World,
objects, actions and rewards are MiniWorld's: +1 for touching the named object, -1 for any other, which ends the episode;
action 3 ends it too. From almost everywhere that the sign can be read, the named object is out of sight, so it must be
remembered. Guessing one of the six gives -2/3 on average, touching none gives 0. The step limit is longer than
MiniWorld's 20, which is too short for reading first.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium

from training.environments.miniworld_rendering import Sign, TextFrame

ENV_ID = "MiniWorld-SignVarying-v0"
MAX_STEPS = 60
COLOURS, KINDS = ("blue", "red", "green"), ("box", "key")  # in MiniWorld's order of objects
LETTER = 1.0  # metres; as on MiniWorld's sign
LINES = (1.9, 0.85)  # metres above the floor


class SignVarying(Sign):  # type: ignore[misc]
    """One episode's right object is `colour`, `kind`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_episode_steps=MAX_STEPS, **kwargs)

    @property
    def colour(self) -> str:
        """The colour of the right object."""
        return COLOURS[self._color_index]

    @property
    def kind(self) -> str:
        """box or key."""
        return KINDS[self._goal]

    def _gen_world(self) -> None:
        self._color_index, self._goal = int(self.np_random.integers(3)), int(self.np_random.integers(2))
        super()._gen_world()
        (written,) = (entity for entity in self.entities if isinstance(entity, TextFrame))
        self.entities.remove(written)
        x, _, z = written.pos
        for text, height in zip((self.colour, self.kind), LINES, strict=True):
            self.entities.append(TextFrame(pos=[x, height, z], dir=math.pi, str=text.upper(), height=LETTER))


gymnasium.register(id=ENV_ID, entry_point=SignVarying)
