"""The Avalon adapter against a stand-in: Avalon's engine has never run here, so only the spaces and the calls are tested.

The stand-in has what version 1.0.2 of Avalon's source states: gym 0.25's reset and step, `rgbd` uint8 (96, 96, 4) with the
bottom row first, the action `{"real": Box(-1, 1, (18,)), "discrete": MultiBinary(3)}`, `TimeLimit.truncated` in the info.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from agent.action_space import ActionSpace
from agent.policy.heads import action_heads, choose, row_sizes
from training.actions import FlattenAction, action_space_of
from training.environments import avalon
from training.environments.avalon import BUTTONS, AvalonEnv, AvalonMissing, single_environment, vector_environment

LIMIT = 5


class StandIn:
    """Avalon's environment without its engine. Worlds are drawn from the seed it was started with."""

    action_space = spaces.Dict({"real": spaces.Box(-1, 1, (18,)), "discrete": spaces.MultiBinary(3)})

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.actions, self.closed = seed, list[dict[str, Any]](), False
        self._worlds = np.random.default_rng(seed)
        self.truncates = True

    def reset(self) -> dict[str, Any]:
        self._steps = 0
        self._world = int(self._worlds.integers(1, 200))
        return self._observation()

    def step(self, action: dict[str, Any]) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.actions.append(action)
        self._steps += 1
        done = self._steps == LIMIT
        return self._observation(), 0.5, done, {"TimeLimit.truncated": done and self.truncates, "success": 0, "score": 0.0}

    def close(self) -> None:
        self.closed = True

    def _observation(self) -> dict[str, Any]:
        rgbd = np.full((96, 96, 4), self._world, np.uint8)
        rgbd[0, :, :3] = (255, 0, 7)  # the lowest row of the picture
        rgbd[..., 3] = self._steps  # depth
        return {"rgbd": rgbd, "hit_points": np.ones(1, np.float32), "frame_id": np.array([self._steps])}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    """The stand-ins that were started."""
    engines: list[StandIn] = []

    def start(_protocol: str, seed: int) -> StandIn:
        engines.append(StandIn(seed))
        return engines[-1]

    monkeypatch.setattr(avalon, "_start", start)
    return engines


def test_the_adapter_is_a_gymnasium_environment() -> None:
    check_env(AvalonEnv(StandIn), skip_render_check=True)


def test_the_frame_is_the_colours_the_right_way_up() -> None:
    frame, _ = AvalonEnv(StandIn).reset(seed=3)
    assert frame.dtype == np.uint8
    assert (frame.shape, frame.flags["C_CONTIGUOUS"]) == ((96, 96, 3), True)
    assert frame[-1].tolist() == [[255, 0, 7]] * 96
    assert len(np.unique(frame[:-1])) == 1


def test_an_action_becomes_avalons_vector_and_buttons() -> None:
    engine = StandIn()
    environment = AvalonEnv(lambda _seed: engine)
    environment.reset()
    real = np.linspace(-1, 1, 18, dtype=np.float32)
    environment.step({"real": real, "is_jumping": 1, "is_left_hand_grasping": 0, "is_right_hand_grasping": 1})
    (given,) = engine.actions
    assert given["real"].tolist() == real.tolist()
    assert given["discrete"].tolist() == [0, 1, 1]


@pytest.mark.parametrize("truncates", [True, False])
def test_the_end_of_time_truncates_and_every_other_end_terminates(*, truncates: bool) -> None:
    engine = StandIn()
    engine.truncates = truncates
    environment = AvalonEnv(lambda _seed: engine)
    environment.reset()
    ends = [environment.step(environment.action_space.sample())[2:4] for _ in range(LIMIT)]
    assert ends == [(False, False)] * (LIMIT - 1) + [(not truncates, truncates)]


def test_a_seed_starts_the_engine_again_and_no_seed_goes_on(started: list[StandIn]) -> None:
    environment = single_environment("Avalon-SINGLE_TASK_EAT")
    worlds = [int(environment.reset(seed=seed)[0][0, 0, 0]) for seed in (4, None, 5, 4, None)]
    assert [engine.seed for engine in started] == [4, 5, 4]
    assert [engine.closed for engine in started] == [True, True, False]
    assert worlds[:2] == worlds[3:]
    assert worlds[0] != worlds[2]


def test_an_agent_with_its_action_space_acts_in_it() -> None:
    engine = StandIn()
    environment = AvalonEnv(lambda _seed: engine)
    environment.reset()
    space = action_space_of(environment.action_space)
    assert isinstance(space, ActionSpace)
    assert list(space.spaces) == sorted([*BUTTONS, "real"])
    row = np.zeros(sum(row_sizes(space)), np.float32)
    for step in range(LIMIT):
        action: Any = choose(action_heads(space), row, seed=0, step=step, deterministic=False)[0]
        environment.step(action)
    assert len(engine.actions) == LIMIT
    assert len({one["discrete"].tobytes() for one in engine.actions}) > 1


def test_rows_side_by_side_take_flat_actions_and_name_their_environment(started: list[StandIn]) -> None:
    rows = vector_environment([("Avalon-SINGLE_TASK_EAT", 2), ("Avalon-SINGLE_TASK_MOVE", 1)], seed=3)
    frames: Any = rows.reset()
    assert (frames.shape, frames.dtype) == ((3, 3, 96, 96), np.uint8)
    assert [engine.seed for engine in started] == [3000, 3001, 3002]
    assert rows.action_space.shape == (21,)
    for _ in range(LIMIT):
        frames, _, dones, infos = rows.step(np.stack([rows.action_space.sample() for _ in range(3)]))
    assert dones.all()
    assert [info["environment"] for info in infos] == ["Avalon-SINGLE_TASK_EAT"] * 2 + ["Avalon-SINGLE_TASK_MOVE"]
    assert all(info["TimeLimit.truncated"] and info["episode"]["l"] == LIMIT for info in infos)
    assert infos[0]["terminal_observation"].shape == (3, 96, 96)
    rows.close()
    assert all(engine.closed for engine in started)


def test_a_flat_action_holds_the_buttons_before_the_vector() -> None:
    engine = StandIn()
    environment: gymnasium.Env[Any, Any] = FlattenAction(AvalonEnv(lambda _seed: engine))
    environment.reset()
    environment.step(np.array([1, 0, 1, *np.full(18, 0.5)], np.float32))  # jumping, left, right: alphabetical
    assert engine.actions[0]["discrete"].tolist() == [0, 1, 1]
    assert engine.actions[0]["real"].tolist() == [0.5] * 18


def test_a_missing_package_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "avalon", None)
    with pytest.raises(AvalonMissing, match="Avalon cannot be imported"):
        single_environment("Avalon-SINGLE_TASK_EAT").reset()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Modules with the names that the adapter imports, and an engine; what they are asked."""
    asked: dict[str, Any] = {}

    def parameters(**fields: Any) -> SimpleNamespace:
        asked["parameters"] = fields
        return SimpleNamespace(task_difficulty_update=0.01, meta_difficulty_update=0.02)

    def curriculum(engine: StandIn, *updates: float) -> StandIn:
        asked["updates"] = updates
        return engine

    (tmp_path / "godot").touch()
    modules = {
        "avalon.agent.godot.godot_gym": SimpleNamespace(
            TrainingProtocolChoice=SimpleNamespace(__members__={"SINGLE_TASK_EAT": "the choice"}),
            GodotEnvironmentParams=parameters,
            AvalonEnv=lambda _params: StandIn(),
            CurriculumWrapper=curriculum,
        ),
        "avalon.datagen.godot_env.interactive_godot_process": SimpleNamespace(GODOT_BINARY_PATH=str(tmp_path / "godot")),
        "avalon.common.log_utils": SimpleNamespace(configure_local_logger=lambda level: asked.update(level=level)),
    }
    monkeypatch.setattr(avalon, "import_module", modules.__getitem__)
    return asked


def test_a_missing_engine_is_said_plainly_before_anything_is_started(asked: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "godot").unlink()
    with pytest.raises(AvalonMissing, match="install_godot_binary"):
        single_environment("Avalon-SINGLE_TASK_EAT").reset()
    assert not asked


def test_avalon_is_asked_for_the_task_seed_and_resolution_and_uploads_nothing(asked: dict[str, Any]) -> None:
    single_environment("Avalon-SINGLE_TASK_EAT").reset(seed=9)
    assert asked["parameters"] == {
        "training_protocol": "the choice",
        "env_index": 9,
        "resolution": 96,
        "is_logging_artifacts_on_error_to_s3": False,
    }
    assert (asked["updates"], asked["level"]) == ((0.01, 0.02), "WARNING")


@pytest.mark.usefixtures("asked")
def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"one of \['SINGLE_TASK_EAT'\], got 'SINGLE_TASK_DREAM'"):
        single_environment("Avalon-SINGLE_TASK_DREAM").reset()
