"""The rules of continuous recognition for one episode, without any pixels.

A trial: the eye fixates the cross; a picture and two buttons appear; the gaze entering the left button answers "new", the
right one "old"; the gaze leaving it pays 1 for a right answer and 0 for a wrong one and brings the cross back. The first
picture is new; after that a trial is new with probability 0.5, else it shows one of those already seen, each equally
likely. An episode ends after 60 trials, or is truncated after 300 seconds.

The gaze moves on a grid of 7 x 3 cells: the cross lies in the middle one, the buttons at the ends of the middle row.
"""

from enum import IntEnum

import numpy as np

TRIALS = 60
TIME_LIMIT = 300 * 30 // 4  # 300 s at 30 frames/s, each action repeated 4 times
YAW, PITCH = 3, 1  # cells to either side of the middle


class Action(IntEnum):
    """Direction in which the gaze moves, by one cell."""

    STAY = 0
    LEFT = 1
    RIGHT = 2
    UP = 3
    DOWN = 4


MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))  # (yaw, pitch) in cells, by action
NEW, OLD = (-YAW, 0), (YAW, 0)  # the cells of the buttons


class Game:
    """The state of a game; `reset` begins each episode.

    picture: index of the picture on the panel, None while the cross is shown. old: whether it was shown before in this
    episode. gaze: (yaw, pitch) in cells, right and down positive. right: whether the button in view is the right answer,
    None if none is in view. trial: number of finished trials. seen: indices shown so far.
    """

    def __init__(self, pictures: int) -> None:
        """pictures: number of available pictures, at least TRIALS."""
        self._pictures = pictures

    def reset(self, rng: np.random.Generator) -> None:
        """Begins a new episode with the cross on the panel and the gaze near it; uses `rng` until the episode is over."""
        self._rng = rng
        self._order: list[int] = rng.permutation(self._pictures)[:TRIALS].tolist()
        self.seen: list[int] = []
        self.trial = self.steps = 0
        self.gaze = (int(rng.integers(-1, 2)), 0)
        self.picture: int | None = None
        self.right: bool | None = None
        self.old = False
        if self.gaze == (0, 0):
            self._show()

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Moves the gaze; returns reward, terminated, truncated."""
        yaw, pitch = MOVES[action]
        self.gaze = (min(max(self.gaze[0] + yaw, -YAW), YAW), min(max(self.gaze[1] + pitch, -PITCH), PITCH))
        self.steps += 1
        reward = 0.0
        if self.picture is None:
            if self.gaze == (0, 0):
                self._show()
        elif self.right is None:
            if self.gaze in (NEW, OLD):
                self.right = self.gaze == (OLD if self.old else NEW)
        elif self.gaze not in (NEW, OLD):
            reward = float(self.right)
            self.trial += 1
            self.picture = self.right = None
        return reward, self.trial == TRIALS, self.steps >= TIME_LIMIT and self.trial < TRIALS

    def _show(self) -> None:
        """Begins a trial with a picture."""
        self.old = bool(self.seen) and self._rng.random() < 0.5
        self.picture = self.seen[self._rng.integers(len(self.seen))] if self.old else self._order[len(self.seen)]
        if not self.old:
            self.seen.append(self.picture)
