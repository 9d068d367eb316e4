"""LeRobot's own rollout loop, unmodified, against the real services.

LeRobot brings a torch of its own (8.1 GB with CUDA's libraries), so the test does not install it: SHELM_TEST_LEROBOT names a
Python that has lerobot 0.4.4 and the client with its extra `gymnasium`. Without it the test is skipped, with that reason.
"""

import json
import os
from pathlib import Path

import pytest
from shelm import Client
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


@pytest.mark.long
@pytest.mark.skipif(not PYTHON, reason="SHELM_TEST_LEROBOT names no Python with lerobot")
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
