"""LeRobot's own rollout loop, unmodified, against the real services; and its own reader of episodes that were exported.

LeRobot brings a torch of its own (8.1 GB with CUDA's libraries), so the test does not install it: SHELM_TEST_LEROBOT names a
Python that has lerobot 0.4.4 and the client with its extra `gymnasium`. Without it the test is skipped, with that reason.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from shelm import Client
from shelm.gym import Transition
from support.deployment import Deployment
from support.environments import run_alone

PYTHON = os.environ.get("SHELM_TEST_LEROBOT", "")
PROGRAM = """
import json, sys
import gymnasium, numpy as np, torch
from gymnasium.vector import SyncVectorEnv
from lerobot.scripts.lerobot_eval import rollout
from shelm import Client, RemotePolicy
from shelm.gym import minigrid_env

SEEDS = [0, 1, 2, 3]

class Pixels(gymnasium.Wrapper):
    def __init__(self):
        env = minigrid_env("MiniGrid-MemoryS11-v0")
        super().__init__(env)
        self._max_episode_steps = env.unwrapped.max_steps
        self.observation_space = gymnasium.spaces.Dict(pixels=env.observation_space)
        self.action_space = gymnasium.spaces.MultiDiscrete([env.action_space.n])
    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        return {"pixels": observation}, info
    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(int(action[0]))
        return {"pixels": observation}, reward, terminated, truncated, info | {"is_success": reward > 0}

class Served(torch.nn.Module):
    def __init__(self, remote):
        super().__init__()
        self.remote, self.state, self.episodes = remote, None, []
    def reset(self):
        self.remote.close()
        self.state = None
    def select_action(self, batch):
        frames = (batch["observation.image"] * 255).round().byte().permute(0, 2, 3, 1)
        actions, self.state = self.remote.predict(frames.numpy(), self.state, deterministic=True)
        self.episodes = self.state[0].tolist()
        return torch.as_tensor(actions)[:, None]

def same(value):
    return value

envs = SyncVectorEnv([Pixels] * len(SEEDS))
with Client(sys.argv[1]) as client, RemotePolicy(client) as remote:
    policy = Served(remote)
    played = rollout(envs, policy, same, same, same, same, seeds=SEEDS)
first = played["done"].int().argmax(dim=1).tolist()
print(json.dumps({
    "episodes": policy.episodes,
    "actions": [row[: end + 1, 0].tolist() for row, end in zip(played["action"], first)],
    "rewards": [float(row[: end + 1].sum()) for row, end in zip(played["reward"], first)],
}))
"""

READ = """
import json, sys
from lerobot.datasets.lerobot_dataset import LeRobotDataset

dataset = LeRobotDataset(sys.argv[1].rpartition("/")[2], root=sys.argv[1])
print(json.dumps([dataset.num_episodes, dataset.fps]))
for row in dataset:
    shown = (row["observation.image"] * 255).round().byte().permute(1, 2, 0).tolist()
    value, episode, done = row["value"].item(), row["episode_index"].item(), row["next.done"].item()
    print(json.dumps([row["words"], row["action"].item(), value, episode, done, row["task"], shown]))
"""
needs_lerobot = pytest.mark.skipif(not PYTHON, reason="SHELM_TEST_LEROBOT names no Python with lerobot")


@pytest.mark.long
@needs_lerobot
def test_lerobots_rollout_plays_a_vector_of_memory(tmp_path: Path, deployment: Deployment) -> None:
    done = run_alone([PYTHON, "-c", PROGRAM, deployment.target], tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert sum(reward > 0 for reward in told["rewards"]) >= 3  # by chance: half of the four
    with Client(deployment.target) as client:
        for episode_id, actions in zip(told["episodes"], told["actions"], strict=True):
            remembered = [step.action for step in client.memory(episode_id)]
            assert remembered[: len(actions)] == actions  # the loop steps those that have ended until all have
            assert client.get_episode(episode_id).ended


@pytest.mark.long
@needs_lerobot
def test_lerobot_reads_what_was_exported(tmp_path: Path, recording: Deployment, played: list[Transition]) -> None:
    name, folder = played[0].act.episode_id, tmp_path / "episodes"
    asked = ["export", name, "--format", "lerobot", "--out", str(folder), "--fps", "5", "--target", recording.target]
    command = [PYTHON, "-m", "shelm.cli", *asked]
    done = run_alone(command, tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    read = run_alone([PYTHON, "-c", READ, str(folder)], tmp_path, HF_HUB_OFFLINE="1")
    assert read.returncode == 0, read.stderr
    told, *rows = map(json.loads, read.stdout.splitlines())
    assert told == [1, 5]
    with Client(recording.target) as client:
        steps = list(client.memory(name))
        frames = [client.frame(name, step.step) for step in steps]
    for row, step, frame in zip(rows, steps, frames, strict=True):
        words, action, value, episode, last, task, shown = row
        assert (words, action) == (" ".join(token.text for token in step.tokens), step.action)
        assert value == pytest.approx(step.value)
        assert (episode, last, task) == (0, step is steps[-1], "agent minigrid-memory")
        assert np.array_equal(shown, frame)
    again = run_alone(command, tmp_path, HF_HUB_OFFLINE="1")
    assert again.returncode == 1
    assert "the folder exists already" in again.stderr
