"""Base classes of the families' vector environments.

`ChannelsFirst` and `NamedRows` are for families whose environments are stepped one by one; `Rows` is for those that step all
environments at once and have no separate environment objects. Failure policy: raises no errors of its own.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

Frame = NDArray[np.uint8]
Outcome = tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]


class ChannelsFirst(gymnasium.ObservationWrapper[Frame, Any, Frame]):
    """Converts observations uint8 (height, width, 3) to (3, height, width)."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        assert env.observation_space.shape is not None
        height, width, channels = env.observation_space.shape
        self.observation_space = gymnasium.spaces.Box(0, 255, (channels, height, width), np.uint8)

    def observation(self, observation: Frame) -> Frame:
        """Returns the observation with channels first."""
        return np.ascontiguousarray(observation.transpose(2, 0, 1))


class NamedRows(DummyVecEnv):
    """Parallel environments: first those of the first task, then those of the second; `names` are their ids.

    make: environment id -> one environment. Environment r begins with seed `seed * 1000 + r`.
    """

    def __init__(
        self, tasks: Sequence[tuple[str, int]], make: Callable[[str], gymnasium.Env[Any, Any]], *, seed: int
    ) -> None:
        self.names = [name for name, num_envs in tasks for _ in range(num_envs)]
        super().__init__([partial(make, name) for name in self.names])
        self.seed(seed * 1000)

    def step_wait(self) -> Outcome:
        """Steps every environment; the info of an ended episode contains the id of its environment."""
        frames, rewards, dones, infos = super().step_wait()
        for row in np.flatnonzero(dones):
            infos[row]["environment"] = self.names[row]
        return frames, rewards, dones, infos


class Rows(VecEnv):
    """Implements the parts of stable-baselines3's interface that access single environments, for classes without them."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns the same value for all environments; they share one object."""
        return [getattr(self, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not supported."""
        raise NotImplementedError("rows have no settable attributes")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Not supported."""
        raise NotImplementedError("rows have no methods")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Returns False for every environment."""
        return [False] * self.num_envs
