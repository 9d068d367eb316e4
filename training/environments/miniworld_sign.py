"""MiniWorld's Sign with a sign that must be read and remembered: `MiniWorld-SignVarying-v0`, `MiniWorld-SignColour-v0`.

The registered `MiniWorld-Sign-v0` always says BLUE and always wants the box, so it needs no memory
(docs/paper.md#environments). In SignVarying one of the six objects is chosen at random in every episode; the sign states its
colour and, below, its kind ("RED" "KEY"). In SignColour it is one of the three boxes, as in MiniWorld's own environment, and
the sign states only its colour. World, objects, actions and rewards are MiniWorld's: +1 for touching the named object, -1
for any other, which ends the episode; action 3 ends it too. From almost everywhere that the sign can be read, the named
object is out of view, so it must be remembered. Guessing one of the six gives -2/3 on average (one of three boxes: -1/3),
touching none gives 0. The step limit is longer than MiniWorld's 20, which is too short to read the sign first.
`MiniWorld-SignColourRandomised-v0` is SignColour with MiniWorld's domain randomisation of what is seen, which its own
Sign switches off: other textures, light, tints of objects and camera in each episode. It is for evaluation.

`MiniWorld-SignVaryingTraining-v0` and `MiniWorld-SignColourTraining-v0` are the same worlds for training only. At first
every touch is a guess, and an agent that is punished for guessing learns to touch nothing. Therefore every second episode
starts in front of the sign, a wrong touch costs nothing (it still ends the episode), and each metre closer to the named
object is worth `METRE`. That sum depends only on where an episode begins and ends, so moving in circles gains nothing. No
reported result is measured on these. They also provide an expert (`expert_action`) for training.imitation.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np

from training.clip.world.visible import legible
from training.environments.miniworld_rendering import DEFAULT_PARAMS, Sign, TextFrame

ENV_ID, TRAINING_ID = "MiniWorld-SignVarying-v0", "MiniWorld-SignVaryingTraining-v0"
COLOUR_ID, COLOUR_TRAINING_ID = "MiniWorld-SignColour-v0", "MiniWorld-SignColourTraining-v0"
RANDOMISED_ID = "MiniWorld-SignColourRandomised-v0"
MAX_STEPS = 60
COLOURS, KINDS = ("blue", "red", "green"), ("box", "key")  # in MiniWorld's order of objects
LETTER = 1.0  # metres; as on MiniWorld's sign
LINES, ONE_LINE = (1.9, 0.85), 1.35  # metres above the floor
METRE = 0.1
# The expert's path, (x, z) in metres: where it reads the sign, the door from below and from above, and the row above from
# which the path to each object is free.
READING, DOOR, TOP, MIDDLE = (3.2, 10.8), (4.0, 8.0), (4.6, 4.6), 3.0
BELOW, CORNER = 6.75, 5.4  # the rooms with the sign begin at this z; up to this x the door is straight ahead
LOOKS = 4  # frames; a frozen language model forgets a repeated word more slowly
TURN = 45  # degrees
ACTED = ("forward_step", "forward_drift", "turn_step", "bot_radius")  # parameters of what actions do
NEAR, STRAIGHT = 1.0, 2.9  # metres at which a place counts as reached, and from which the path to an object is free


class SignVarying(Sign):  # type: ignore[misc]
    """Sign with a right object that is chosen per episode: its `colour` and `kind`.

    kinds: the number of `KINDS`, from the first, to choose from; with one kind the sign states only the colour. randomised:
    MiniWorld's textures, light and camera are drawn for each episode; what actions do stays.
    """

    params: Any
    action_names = ("turn_left", "turn_right", "move_forward", "end_episode")

    def __init__(self, kinds: int = len(KINDS), *, randomised: bool = False, **kwargs: Any) -> None:
        self._kinds = kinds
        super().__init__(max_episode_steps=MAX_STEPS, **kwargs)
        if randomised:
            self.domain_rand, drawn = True, DEFAULT_PARAMS.copy()
            for name in ACTED:
                drawn.set(name, self.params.params[name].default)
            self.params = drawn

    @property
    def colour(self) -> str:
        """The colour of the right object."""
        return COLOURS[self._color_index]

    @property
    def kind(self) -> str:
        """box or key."""
        return KINDS[self._goal]

    @property
    def answer(self) -> int:
        """Index of the right object among `answers` objects."""
        return self._goal * len(COLOURS) + self._color_index

    @property
    def answers(self) -> int:
        """Number of objects from which the right one is chosen."""
        return self._kinds * len(COLOURS)

    @property
    def _right(self) -> Any:
        return self._objects[self._goal][self._color_index]

    def _gen_world(self) -> None:
        self._color_index, self._goal = int(self.np_random.integers(3)), int(self.np_random.integers(self._kinds))
        super()._gen_world()
        (written,) = self._texts()
        self.entities.remove(written)
        x, _, z = written.pos
        lines = {LINES[0]: self.colour, LINES[1]: self.kind} if self._kinds > 1 else {ONE_LINE: self.colour}
        for height, text in lines.items():
            self.entities.append(TextFrame(pos=[x, height, z], dir=math.pi, str=text.upper(), height=LETTER))

    def _texts(self) -> list[TextFrame]:
        """Returns the lines on the sign."""
        return [entity for entity in self.entities if isinstance(entity, TextFrame)]

    def go_before_the_sign(self, rng: np.random.Generator) -> None:
        """Places the agent where it can probably read the sign immediately."""
        self.agent.pos = np.array([rng.uniform(2.5, 6.0), 0, rng.uniform(8.0, 12.0)])
        self.agent.dir = rng.uniform(-math.pi / 4, math.pi / 4)


class SignTraining(SignVarying):
    """The training variant of a sign environment. looks: number of frames for which the expert looks at the sign."""

    looks = LOOKS

    def _gen_world(self) -> None:
        super()._gen_world()
        self._looked = 0
        if self.np_random.random() < 0.5:
            self.go_before_the_sign(self.np_random)

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Executes an action as in MiniWorld, with the rewards of training."""
        before = self._distance()
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, max(reward, 0.0) + METRE * (before - self._distance()), terminated, truncated, info

    def expert_action(self) -> int:
        """Returns the expert's next action: first read the sign for `looks` frames, then go to the right object."""
        if self._looked < self.looks:
            action = self._look()
            if action is not None:
                return action
        x, _, z = self.agent.pos
        below = z > BELOW
        to_x, _, to_z = self._right.pos
        if below != (to_z > BELOW):
            return self._towards(*(TOP if below and x < CORNER else DOOR))
        via = (min(max(to_x, 3.0), 7.0), MIDDLE)
        direct = below or math.dist((x, z), (to_x, to_z)) < STRAIGHT or math.dist((x, z), via) < NEAR
        return self._towards(*((to_x, to_z) if direct else via))

    def _look(self) -> int | None:
        """Counts a look if the sign is readable, and returns the action towards the next one; None after the last."""
        x, _, z = self.agent.pos
        left, right, forward = map(int, (self.actions.turn_left, self.actions.turn_right, self.actions.move_forward))
        readable = self._readable_from(self.agent.pos, self.agent.dir)
        if not readable and not self._looked and math.dist((x, z), READING) >= NEAR:
            return self._towards(*(READING if z > BELOW else DOOR if x < CORNER else TOP))
        sign_x, _, sign_z = self._texts()[0].pos
        if not readable and (turn := self._towards(sign_x, sign_z)) != forward:
            return turn
        self._looked += 1  # also before a sign that does not fit into the frame from here, as a long word may not
        if self._looked == self.looks:
            return None
        here, facing, angle = self.agent.pos, self.agent.dir, math.radians(TURN)
        ahead = here + self.max_forward_step * self.agent.dir_vec
        after = {forward: (ahead, facing), left: (here, facing + angle), right: (here, facing - angle)}
        return next((action for action, place in after.items() if self._readable_from(*place)), left)

    def _readable_from(self, pos: Any, direction: float) -> bool:
        """Returns whether the sign can be read; the rooms below are one rectangle with the sign on its wall, so nothing
        hides it.
        """
        agent, before = self.agent, (self.agent.pos, self.agent.dir)
        agent.pos, agent.dir = pos, direction
        readable = pos[2] > BELOW and all(legible(self, text)[0] for text in self._texts())
        agent.pos, agent.dir = before
        return bool(readable)

    def _towards(self, x: float, z: float) -> int:
        turn = (math.atan2(self.agent.pos[2] - z, x - self.agent.pos[0]) - self.agent.dir + math.pi) % math.tau - math.pi
        if abs(turn) <= math.radians(TURN / 2) + 1e-6:
            return int(self.actions.move_forward)
        return int(self.actions.turn_left if turn > 0 else self.actions.turn_right)

    def _distance(self) -> float:
        """Returns the distance to the right object in metres."""
        return float(np.linalg.norm(self._right.pos - self.agent.pos))


for entry, name, colour in ((SignVarying, ENV_ID, COLOUR_ID), (SignTraining, TRAINING_ID, COLOUR_TRAINING_ID)):
    gymnasium.register(id=name, entry_point=entry)
    gymnasium.register(id=colour, entry_point=entry, kwargs={"kinds": 1})
gymnasium.register(id=RANDOMISED_ID, entry_point=SignVarying, kwargs={"kinds": 1, "randomised": True})
