"""`MiniWorld-SignVarying-v0`: MiniWorld's Sign with a sign that must be read and remembered.

The registered `MiniWorld-Sign-v0` always says BLUE and always wants the box, so it needs no memory (paper-facts section 7).
Here every episode draws one of the six objects; the sign says its colour and, below, its kind ("RED" "KEY"). World,
objects, actions and rewards are MiniWorld's: +1 for touching the named object, -1 for any other, which ends the episode;
action 3 ends it too. From almost everywhere that the sign can be read, the named object is out of sight, so it must be
remembered. Guessing one of the six gives -2/3 on average, touching none gives 0. The step limit is longer than
MiniWorld's 20, which is too short for reading first.

`MiniWorld-SignVaryingTraining-v0` is the same world for training alone, because at first every touch is a guess and
an agent that is punished for guessing learns to touch nothing: every second episode starts before the sign, a wrong touch
costs nothing (it still ends the episode), and each metre nearer to the named object is worth `METRE`. That sum depends
on where an episode begins and ends only, so circling gains nothing. No result is of this environment.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np

from training.environments.miniworld_rendering import Sign, TextFrame

ENV_ID, TRAINING_ID = "MiniWorld-SignVarying-v0", "MiniWorld-SignVaryingTraining-v0"
MAX_STEPS = 60
COLOURS, KINDS = ("blue", "red", "green"), ("box", "key")  # in MiniWorld's order of objects
LETTER = 1.0  # metres; as on MiniWorld's sign
LINES = (1.9, 0.85)  # metres above the floor
METRE = 0.05


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

    def go_before_the_sign(self, rng: np.random.Generator) -> None:
        """Puts the agent where it is likely to read the sign at once."""
        self.agent.pos = np.array([rng.uniform(2.5, 6.0), 0, rng.uniform(8.0, 12.0)])
        self.agent.dir = rng.uniform(-math.pi / 4, math.pi / 4)


class SignTraining(SignVarying):
    """See the module docstring."""

    def _gen_world(self) -> None:
        super()._gen_world()
        if self.np_random.random() < 0.5:
            self.go_before_the_sign(self.np_random)

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As MiniWorld's, with the rewards of training."""
        before = self._distance()
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, max(reward, 0.0) + METRE * (before - self._distance()), terminated, truncated, info

    def _distance(self) -> float:
        """Metres to the right object."""
        return float(np.linalg.norm(self._objects[self._goal][self._color_index].pos - self.agent.pos))


gymnasium.register(id=ENV_ID, entry_point=SignVarying)
gymnasium.register(id=TRAINING_ID, entry_point=SignTraining)
