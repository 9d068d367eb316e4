"""Agents of stable-baselines3 of each kind: the file computes what `predict` does, and what cannot be served is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack
from support.policies import STEPS, Squares, play_in_process

from agent.engines.wordless import load_wordless
from agent.policy.heads import action_heads, choose
from training.bundle_policy import main
from training.policies.sb3 import sb3_policy

NO_STACK: dict[str, Any] = {"stack": 1, "stack_start": "zeros"}


class Pushes(Squares):
    """A continuous action."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space: Any = spaces.Box(-1, 1, (2,), np.float32)

    def step(self, action: Any) -> Any:
        return super().step(1)


def served(folder: Path, *options: str) -> tuple[Any, Any]:
    """The engine and the heads of the bundle of agent.zip."""
    from agent.bundle import WordlessBundle, load_any_bundle

    main(["--sb3", str(folder / "agent.zip"), "--out", str(folder / "bundle"), *options])
    bundle = load_any_bundle(folder / "bundle")
    assert isinstance(bundle, WordlessBundle)
    return load_wordless(bundle), action_heads(bundle.manifest.actions)


def actions_of(policy: Any, heads: Any, frames: Any) -> list[Any]:
    state, found = b"", []
    for step, frame in enumerate(frames):
        ((row, _, state),) = policy.decide([(frame, state)])
        found.append(choose(heads, row, seed=1, step=step, deterministic=True)[0])
    return found


@pytest.mark.slow
def test_a2c_on_grey_frames(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model = A2C("CnnPolicy", Squares(channels=1), device="cpu", seed=0, learning_rate=1e-2).learn(100)
    model.save(tmp_path / "agent.zip")
    policy, heads = served(tmp_path)
    played = play_in_process(model, Squares(channels=1), seed=3)
    assert actions_of(policy, heads, played.frames) == played.actions


@pytest.mark.slow
def test_dqn_is_epsilon_greedy(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model = DQN("CnnPolicy", Squares(), device="cpu", seed=0, buffer_size=500, learning_starts=10)
    model.learn(60).save(tmp_path / "agent.zip")
    policy, heads = served(tmp_path)
    frames = play_in_process_frames()
    expected = [int(model.predict(frame, deterministic=True)[0]) for frame in frames]
    assert actions_of(policy, heads, frames) == expected
    ((row, value, _),) = policy.decide([(frames[0], b"")])
    chances = np.exp(row)
    epsilon = model.exploration_rate
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    assert chances.max() == pytest.approx(1 - epsilon + epsilon / 3, abs=1e-5)
    inputs, _ = model.policy.obs_to_tensor(frames[0])
    with torch.no_grad():
        assert value == pytest.approx(float(model.q_net(inputs).max()), abs=1e-5)


@pytest.mark.slow
def test_continuous_actions_are_means_within_their_bounds(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model = PPO("CnnPolicy", Pushes(), n_steps=32, batch_size=32, device="cpu", seed=0)
    model.save(tmp_path / "agent.zip")
    policy, heads = served(tmp_path)
    frames = play_in_process_frames()
    for found, frame in zip(actions_of(policy, heads, frames), frames, strict=True):
        assert found == pytest.approx(model.predict(frame, deterministic=True)[0], abs=1e-5)


@pytest.mark.slow
def test_stacked_frames_are_those_of_vec_frame_stack(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    envs = VecFrameStack(make_vec_env(lambda: Squares(channels=1), 1), 4)
    model = PPO("CnnPolicy", envs, n_steps=64, batch_size=64, device="cpu", seed=0, learning_rate=1e-2).learn(128)
    model.save(tmp_path / "agent.zip")
    policy, heads = served(tmp_path, "--frame-stack", "4")
    assert policy.state_bytes == 3 * 36 * 36
    observation: Any = envs.reset()
    frames, expected = [], list[int]()
    for _ in range(STEPS - 2):
        frames.append(observation[0][:, :, -1:])
        action, _ = model.predict(observation, deterministic=True)
        expected.append(int(action[0]))
        observation, _, _, _ = envs.step(action)
    assert actions_of(policy, heads, frames) == expected


def play_in_process_frames() -> list[Any]:
    """Some frames of the task."""
    env = Squares()
    frames = [env.reset(seed=5)[0]]
    return [*frames, *(env.step(0)[0] for _ in range(6))]


@pytest.mark.slow
def test_what_cannot_be_served_is_refused_with_both_sides(tmp_path: Path) -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, device="cpu")
    model.save(tmp_path / "vector.zip")
    with pytest.raises(ValueError, match=r"expected an image, a Box of uint8 .*, got Box"):
        sb3_policy(tmp_path / "vector.zip", None, stack=NO_STACK, action_names=[])
    A2C("CnnPolicy", Squares(channels=1), device="cpu").save(tmp_path / "grey.zip")
    with pytest.raises(ValueError, match=r"expected 1 or 3 channels in each of 4 frames \(--frame-stack\), got 1"):
        sb3_policy(tmp_path / "grey.zip", None, stack={**NO_STACK, "stack": 4}, action_names=[])
    (tmp_path / "no.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="expected a zip that stable-baselines3 saved"):
        sb3_policy(tmp_path / "no.zip", None, stack=NO_STACK, action_names=[])
