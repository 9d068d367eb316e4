"""Avalon as a gymnasium environment: frames as observations, head and hands as actions. NEVER RUN ON ITS ENGINE.

Avalon (package `avalon-rl`, GPL-3, not part of this project) is Python code around its own build of the Godot engine, which
`python -m avalon.install_godot_binary` downloads. The adapter was written from the package's source, version 1.0.2, and
tested only against a stand-in with the same spaces; expect to fix details when you use it with the engine.

Contract: ids are `Avalon-PROTOCOL`, where PROTOCOL is a member of Avalon's TrainingProtocolChoice, such as
`Avalon-SINGLE_TASK_EAT`. Observation: the colours of its 96x96 RGB-D image, uint8 (96, 96, 3), top row first; depth and
proprioception are omitted. Action: a dict of `real`, 18 numbers in -1..1 (position and rotation of head, left and right
hand), and three choices of 0 or 1, which Avalon has in one MultiBinary. Worlds are those of Avalon's training with its
curriculum; its fixed evaluation worlds are not available. `reset(seed=)` restarts the engine, because Avalon seeds its
worlds at start; according to its source, its parallel world generators make even that not fully reproducible.

Failure policy: without package or engine the first reset raises `AvalonMissing`, which says what to install.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor

from training.actions import FlattenAction
from training.environments.rows import ChannelsFirst, Frame, NamedRows

PREFIX, SIDE, REAL = "Avalon-", 96, 18
BUTTONS = ("is_left_hand_grasping", "is_right_hand_grasping", "is_jumping")  # in the order of Avalon's MultiBinary


class AvalonMissing(ImportError):  # noqa: N818
    """Avalon's package or engine is not installed."""


class AvalonEnv(gymnasium.Env[Frame, dict[str, Any]]):
    """Avalon as a gymnasium environment. start: seed -> Avalon's own environment, which has gym 0.25's reset and step."""

    def __init__(self, start: Callable[[int], Any]) -> None:
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        buttons = {name: spaces.Discrete(2) for name in BUTTONS}
        self.action_space = spaces.Dict({**buttons, "real": spaces.Box(-1, 1, (REAL,), np.float32)})
        self._start = start
        self._engine: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Returns the first frame of a new world; with a seed, of the first world of that seed."""
        super().reset(seed=seed)
        if seed is not None or self._engine is None:
            self.close()
            self._engine = self._start(seed or 0)
        return _frame(self._engine.reset()), {}

    def step(self, action: dict[str, Any]) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Executes an action; the info is Avalon's (success, score, task, difficulty, ...)."""
        assert self._engine is not None, "reset comes first"
        buttons = np.array([action[name] for name in BUTTONS], np.int8)
        observation, reward, done, info = self._engine.step({"real": action["real"], "discrete": buttons})
        truncated = bool(info["TimeLimit.truncated"])
        return _frame(observation), float(reward), bool(done) and not truncated, truncated, info

    def close(self) -> None:
        """Stops the engine."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None


def _frame(observation: dict[str, Any]) -> Frame:
    """Godot's picture has its bottom row first, and depth as fourth channel."""
    return np.ascontiguousarray(observation["rgbd"][::-1, :, :3])


def _start(protocol: str, seed: int) -> Any:
    avalon, process, logs = (
        _module(name)
        for name in ("agent.godot.godot_gym", "datagen.godot_env.interactive_godot_process", "common.log_utils")
    )
    known = avalon.TrainingProtocolChoice.__members__
    if protocol not in known:
        raise ValueError(f"environment: expected {PREFIX} and one of {sorted(known)}, got {protocol!r}")
    # Checked first, because Avalon starts its world generators before it looks for its engine, and would not stop them.
    if not Path(process.GODOT_BINARY_PATH).exists():
        raise AvalonMissing(f"no engine at {process.GODOT_BINARY_PATH}; python -m avalon.install_godot_binary downloads it")
    logs.configure_local_logger(level="WARNING")  # without it the world generators crash repeatedly at their start
    params = avalon.GodotEnvironmentParams(
        training_protocol=known[protocol],
        env_index=seed,
        resolution=SIDE,
        is_logging_artifacts_on_error_to_s3=False,  # nothing is uploaded
    )
    # As in Avalon's training: worlds become harder with success and easier with failure.
    return avalon.CurriculumWrapper(avalon.AvalonEnv(params), params.task_difficulty_update, params.meta_difficulty_update)


def _module(name: str) -> Any:
    try:
        return import_module(f"avalon.{name}")
    except ImportError as error:
        raise AvalonMissing(f"Avalon cannot be imported ({error}); pip install 'avalon-rl[train]'") from error


def _row(env_id: str) -> gymnasium.Env[Any, Any]:
    return Monitor(FlattenAction(ChannelsFirst(single_environment(env_id))))


def vector_environment(tasks: Sequence[tuple[str, int]], *, seed: int) -> NamedRows:
    """Returns parallel environments with one engine each; actions are flat (training.actions)."""
    return NamedRows(tasks, _row, seed=seed)


def single_environment(env_id: str) -> AvalonEnv:
    """Returns Avalon itself, which starts its engine at the first reset."""
    return AvalonEnv(lambda seed: _start(env_id.removeprefix(PREFIX), seed))
