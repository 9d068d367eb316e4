"""An example environment: remember the signal, and turn to its side at the fork.

The first frame shows a signal, a red or a green square. Then the road is empty for `DELAY` steps, whatever the actions. At
the fork, action 0 goes left, which is right after red, and action 1 goes right, which is right after green: the reward is 1
for the correct side, else 0. Without a memory no agent can be correct more than half of the time.
"""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

SIDE, DELAY = 56, 4
GREY, WHITE = (90, 90, 90), (235, 235, 235)
SIGNALS = ((200, 30, 30), (30, 160, 60))  # red, green
Frame = NDArray[np.uint8]


class Signals(gymnasium.Env[Frame, Any]):
    """Observation uint8 (56, 56, 3); two actions."""

    observation_space = gymnasium.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Shows a signal."""
        super().reset(seed=seed)
        self._signal, self._steps = int(self.np_random.integers(2)), 0
        return self._frame(), {}

    def step(self, action: int) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Executes an action; it only matters at the fork."""
        at_fork = self._steps == DELAY + 1
        reward = float(at_fork and action == self._signal)
        self._steps += 1
        return self._frame(), reward, at_fork, False, {}

    def _frame(self) -> Frame:
        frame = np.full((SIDE, SIDE, 3), GREY, np.uint8)
        if self._steps == 0:
            frame[14:42, 14:42] = SIGNALS[self._signal]
        if self._steps == DELAY + 1:  # the fork: a white road to both sides
            frame[24:32] = WHITE
            frame[24:, 24:32] = WHITE
        return frame


gymnasium.register(id="Signals-v0", entry_point=f"{__name__}:Signals")
