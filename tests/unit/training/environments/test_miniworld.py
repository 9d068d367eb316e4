"""MiniWorld's environments as training sees them, and the sign that varies."""

import math
import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest

from training.bundle import _actions
from training.environments import single_environment, vector_environment
from training.environments.miniworld_rendering import TextFrame
from training.environments.miniworld_sign import (
    COLOUR_ID,
    COLOUR_TRAINING_ID,
    ENV_ID,
    KINDS,
    MAX_STEPS,
    METRE,
    RANDOMISED_ID,
    TRAINING_ID,
    TURN,
)

TASKS = (
    "TMaze",
    "YMaze",
    "FourRooms",
    "MazeS3Fast",
    "PickupObjects",
    "PutNext",
    "CollectHealth",
    "Sign",
    "SignVarying",
    "SignColour",
)
IDS = [f"MiniWorld-{task}-v0" for task in TASKS]
pytestmark = pytest.mark.slow  # the processor draws


@pytest.mark.parametrize("env_id", IDS)
def test_every_task_resets_and_steps_with_frames_of_the_declared_shape(env_id: str) -> None:
    single = single_environment(env_id)
    first, _ = single.reset(seed=1)
    assert first.shape == (60, 80, 3)
    assert first.dtype == np.uint8
    assert single.observation_space.contains(single.step(2)[0])
    rows: Any = vector_environment([(env_id, 2)], seed=3)
    assert rows.reset().shape == (2, 3, 60, 80)
    frames, rewards, dones, infos = rows.step(np.array([0, 2]))
    assert frames.shape == (2, 3, 60, 80)
    assert frames.dtype == np.uint8
    assert frames.std() > 1  # not a blank picture
    assert (len(rewards), len(dones), len(infos)) == (2, 2, 2)


def test_the_small_window_changes_no_frame() -> None:
    """Every environment keeps the memory of its window, so a window of MiniWorld's own size is one too many."""
    ours, own = single_environment(ENV_ID), gymnasium.make(ENV_ID, disable_env_checker=True)
    assert ours.unwrapped.vis_fb.width < own.unwrapped.vis_fb.width  # type: ignore[attr-defined]
    np.testing.assert_array_equal(ours.reset(seed=4)[0], own.reset(seed=4)[0]["obs"])
    for action in (2, 0, 2, 1, 2):
        np.testing.assert_array_equal(ours.step(action)[0], own.step(action)[0]["obs"])


def play(env_id: str, seed: int, steps: int) -> Any:
    rows: Any = vector_environment([(env_id, 2)], seed=seed)
    rng = np.random.default_rng(0)
    frames = [rows.reset()]
    frames.extend(rows.step(rng.integers(3, size=2))[0] for _ in range(steps))
    return np.stack(frames)


def test_the_same_seed_gives_the_same_frames_and_another_seed_others() -> None:
    first = play(ENV_ID, 5, 80)  # several episodes
    np.testing.assert_array_equal(first, play(ENV_ID, 5, 80))
    assert (first != play(ENV_ID, 6, 80)).any()


def test_each_row_is_drawn_in_its_own_world() -> None:
    """MiniWorld alone draws every environment of a process with the rooms of the one that was reset last."""
    alone = single_environment("MiniWorld-FourRooms-v0")
    frames = [alone.reset(seed=7)[0], *(alone.step(2)[0] for _ in range(5))]
    together, other = single_environment("MiniWorld-FourRooms-v0"), single_environment("MiniWorld-PickupObjects-v0")
    beside = [together.reset(seed=7)[0]]
    for step in range(5):
        other.reset(seed=step)
        beside.append(together.step(2)[0])
    np.testing.assert_array_equal(np.stack(frames), np.stack(beside))


def test_an_ended_row_tells_its_last_frame_its_return_and_which_task_it_was() -> None:
    rows: Any = vector_environment([("MiniWorld-Sign-v0", 1), (ENV_ID, 1)], seed=2)
    rows.reset()
    turning = np.array([0, 0])
    for _ in range(19):
        _, _, dones, _ = rows.step(turning)
    assert not dones.any()
    world: Any = rows.envs[0].unwrapped
    world.agent.dir += 1.0  # something that the new episode does not share
    frames, _, dones, infos = rows.step(turning)
    assert dones.tolist() == [True, False]
    assert infos[0]["TimeLimit.truncated"]
    assert infos[0]["environment"] == "MiniWorld-Sign-v0"
    assert (infos[0]["episode"]["r"], infos[0]["episode"]["l"]) == (0, 20)
    assert infos[0]["terminal_observation"].shape == (3, 60, 80)
    assert (infos[0]["terminal_observation"] != frames[0]).any()
    assert "episode" not in infos[1]


def test_the_terminal_observation_is_the_last_frame_of_the_old_episode() -> None:
    alone = single_environment("MiniWorld-Sign-v0")
    rows: Any = vector_environment([("MiniWorld-Sign-v0", 1)], seed=0)
    alone.reset(seed=0)
    rows.reset()
    for _ in range(20):
        last = alone.step(1)[0]
        infos = rows.step(np.array([1]))[3]
    np.testing.assert_array_equal(infos[0]["terminal_observation"], last.transpose(2, 0, 1))


def test_tasks_with_different_actions_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of actions"):
        vector_environment([("MiniWorld-TMaze-v0", 1), ("MiniWorld-PutNext-v0", 1)], seed=0)


def walk_to(env: gymnasium.Env[Any, Any], goal: tuple[float, float], keep: float = 0.0) -> float:
    """Greedy steps towards (x, z) until the episode ends or the agent is within `keep` metres; the rewards' sum."""
    world: Any = env.unwrapped
    total, ended = 0.0, False
    while not ended and math.dist(world.agent.pos[[0, 2]], goal) > keep:
        dx, dz = goal[0] - world.agent.pos[0], goal[1] - world.agent.pos[2]
        turn = (math.atan2(-dz, dx) - world.agent.dir + math.pi) % math.tau - math.pi
        action = 2 if abs(turn) <= math.pi / 8 + 1e-6 else 0 if turn > 0 else 1
        _, reward, terminated, truncated, _ = env.step(action)
        total, ended = total + float(reward), terminated or truncated
    return total


def touch(env: gymnasium.Env[Any, Any], entity: Any) -> float:
    """Walks to an object round the others; the rewards' sum."""
    x, _, z = entity.pos
    first = walk_to(env, (4.0, 8.5), keep=0.8) if z > 6.5 else walk_to(env, (4.6, 4.6), keep=0.9)
    return first + walk_to(env, (x, z))


def right_object(world: Any) -> Any:
    return world._objects[KINDS.index(world.kind)][world._color_index]


@pytest.mark.parametrize(("env_id", "objects"), [(ENV_ID, 6), (COLOUR_ID, 3)])
def test_reading_the_sign_first_and_then_touching_the_named_object_always_earns_one(env_id: str, objects: int) -> None:
    env = single_environment(env_id)
    world: Any = env.unwrapped
    named, rewards, steps = set(), [], []
    env.reset(seed=0)
    for _ in range(24):
        named.add((world.colour, world.kind))
        walk_to(env, (4.5, 8.0), keep=0.8)  # where the sign is in view
        rewards.append(touch(env, right_object(world)))
        steps.append(world.step_count)
        env.reset()
    assert rewards == [1.0] * 24
    assert max(steps) < MAX_STEPS
    assert len(named) == objects


@pytest.mark.parametrize(("env_id", "objects"), [(ENV_ID, 6), (COLOUR_ID, 3)])
def test_a_policy_that_ignores_the_sign_is_right_one_time_in_six_or_three(env_id: str, objects: int) -> None:
    env = single_environment(env_id)
    world: Any = env.unwrapped
    env.reset(seed=1)
    rewards = []
    for _ in range(60):
        rewards.append(touch(env, world._objects[0][0]))  # always the blue box
        env.reset()
    assert set(rewards) == {-1.0, 1.0}
    assert np.mean(rewards) == pytest.approx(2 / objects - 1, abs=0.27)


def test_the_last_action_is_called_what_it_does() -> None:
    """MiniWorld's own list of actions goes on with move_back, which Sign does not have."""
    env: Any = single_environment(COLOUR_ID)
    env.reset(seed=0)
    assert env.step(env.unwrapped.action_names.index("end_episode"))[2]
    assert _actions(COLOUR_ID, {"discrete": 4})["names"] == list(env.unwrapped.action_names)


@pytest.mark.parametrize("env_id", [ENV_ID, COLOUR_ID])
def test_the_sign_says_the_colour_above_the_kind_of_the_right_object_or_its_colour_alone(env_id: str) -> None:
    env = single_environment(env_id)
    world: Any = env.unwrapped
    for seed in range(6):
        env.reset(seed=seed)
        plates = sorted((e for e in world.entities if isinstance(e, TextFrame)), key=lambda plate: -plate.pos[1])
        said = [world.colour, world.kind] if env_id == ENV_ID else [world.colour]
        assert [plate.str.lower() for plate in plates] == said


def test_two_episodes_that_differ_in_the_right_object_differ_in_the_sign_alone() -> None:
    """Objects stand in the same places whatever the sign says: nothing else gives the answer away."""
    env = single_environment(ENV_ID)
    world: Any = env.unwrapped
    places = set()
    for seed in range(8):
        env.reset(seed=seed)
        places.add(str([[list(map(float, thing.pos)) for thing in row] for row in world._objects]))
    assert len(places) == 1


def test_randomised_walls_and_light_differ_between_episodes_and_the_right_object_does_not() -> None:
    plain, randomised = single_environment(COLOUR_ID), single_environment(RANDOMISED_ID)
    worlds: list[Any] = [plain.unwrapped, randomised.unwrapped]
    walls, lights = (set[Any](), set[Any]()), (set[str](), set[str]())
    for seed in range(6):
        for env in (plain, randomised):
            env.reset(seed=seed)
        assert worlds[0].colour == worlds[1].colour
        for world, wall, light in zip(worlds, walls, lights, strict=True):
            wall.update(room.wall_tex for room in world.rooms)
            light.add(str(world.light_color))
            assert world.params.sample(world.np_random, "turn_step") == TURN
    assert [len(wall) > 1 for wall in walls] == [False, True]
    assert [len(light) for light in lights] == [1, 6]


@pytest.mark.parametrize("env_id", [TRAINING_ID, COLOUR_TRAINING_ID])
def test_in_training_a_wrong_touch_costs_nothing_and_coming_nearer_to_the_named_object_is_paid(env_id: str) -> None:
    env = single_environment(env_id)
    world: Any = env.unwrapped
    before_the_sign: list[bool] = []
    paid: dict[bool, set[float]] = {True: set(), False: set()}
    for seed in range(16):
        env.reset(seed=seed)
        before_the_sign.append(world.agent.pos[2] > 6.5)
        right, is_right = right_object(world), seed % 2 == 0
        begin = math.dist(right.pos, world.agent.pos)
        total = touch(env, right if is_right else world._objects[1 - KINDS.index(world.kind)][world._color_index])
        nearer = begin - math.dist(right.pos, world.agent.pos)
        paid[is_right].add(round(total - METRE * nearer, 6))
    assert 0 < sum(before_the_sign) < len(before_the_sign)
    assert paid == {True: {1.0}, False: {0.0}}


@pytest.mark.parametrize("env_id", [TRAINING_ID, COLOUR_TRAINING_ID])
def test_the_expert_reads_the_sign_and_finds_the_named_object(env_id: str) -> None:
    """Also from where a learner's own actions have taken it: every tenth action is another one."""
    env = single_environment(env_id)
    world: Any = env.unwrapped
    rng = np.random.default_rng(0)
    for others in (0.0, 0.1):
        found = []
        for seed in range(20):
            env.reset(seed=seed)
            ended = False
            while not ended:
                action = world.expert_action() if rng.random() >= others else int(rng.integers(3))
                _, reward, terminated, truncated, _ = env.step(action)
                ended = terminated or truncated
            found.append(float(reward) > 0.5)
        assert np.mean(found) >= 0.9


def test_torch_can_load_its_compiler_after_the_renderer() -> None:
    """Mesa's LLVM loaded before Triton's ends the process."""
    program = "import training.environments.miniworld, torch._dynamo"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
