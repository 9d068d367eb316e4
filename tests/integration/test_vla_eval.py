"""vla-eval's own runner, connection and model server, in an environment of their own, against the real services.

Its environment has no torch; it holds the client's wheel and what MiniGrid takes. Where the package index cannot be reached
the test is skipped, with that reason.
"""

import json
from pathlib import Path

import pytest
from shelm import Client
from support.deployment import Deployment
from support.environments import bare_python, client_wheel, run_alone

VLA_EVAL = "vla-eval==0.8.0"
# What a user of vla-eval writes: a model server that acts through the client, and a benchmark; the rest is vla-eval's.
PROGRAM = """
import json, sys
import anyio
import numpy as np
from shelm import AsyncClient
from shelm.gym import minigrid_env
from vla_eval.benchmarks.base import StepBenchmark, StepResult
from vla_eval.connection import Connection
from vla_eval.model_servers.base import ModelServer
from vla_eval.model_servers.serve import serve_async
from vla_eval.runners.sync_runner import SyncEpisodeRunner

SEEDS, target, prefix = range(4), sys.argv[1], sys.argv[2]
begun, ended, taken = [], [], []

class Served(ModelServer):
    async def on_episode_start(self, config, ctx):
        begun.append(f"{prefix}-{ctx.episode_id}")
        await client.create_episode(begun[-1], deterministic=True)
    async def on_observation(self, obs, ctx):
        act = await client.act(obs["images"]["agent"], f"{prefix}-{ctx.episode_id}")
        await ctx.send_action({"actions": np.asarray([act.action])})
    async def on_episode_end(self, result, ctx):
        ended.append(f"{prefix}-{ctx.episode_id}")
        await client.end_episode(ended[-1])
        if len(ended) == len(SEEDS): all_ended.set()
    def get_action_spec(self): return {}
    def get_observation_spec(self): return {}

class Memory(StepBenchmark):
    def get_tasks(self): return [{"name": "memory", "seed": seed} for seed in SEEDS]
    def reset(self, task):
        taken.append([])
        self.env = minigrid_env("MiniGrid-MemoryS11-v0")
        return self.env.reset(seed=task["seed"])[0]
    def step(self, action):
        taken[-1].append(int(action["actions"][0]))
        obs, reward, terminated, truncated, info = self.env.step(taken[-1][-1])
        return StepResult(obs=obs, reward=reward, done=terminated or truncated, info=info)
    def make_obs(self, raw, task): return {"images": {"agent": raw}, "task_description": "match"}
    def get_step_result(self, step): return {"success": bool(step.reward > 0)}
    def get_action_spec(self): return {}
    def get_observation_spec(self): return {}

async def main():
    global client, all_ended
    client, all_ended = AsyncClient(target), anyio.Event()
    async with client, anyio.create_task_group() as group:
        serve = lambda *, task_status: serve_async(Served(), "127.0.0.1", 0, task_status=task_status)
        port = await group.start(serve)
        benchmark = Memory()
        async with Connection(f"ws://127.0.0.1:{port}") as connection:
            results = [
                await SyncEpisodeRunner().run_episode(benchmark, task, connection, max_steps=100)
                for task in benchmark.get_tasks()
            ]
            with anyio.fail_after(30):  # the runner does not wait until the model server knows of an episode's end
                await all_ended.wait()
        group.cancel_scope.cancel()
    print(json.dumps({"results": results, "episodes": begun, "actions": taken}, default=str))

anyio.run(main)
"""


@pytest.mark.long
def test_vla_evals_runner_plays_episodes_of_memory(tmp_path: Path, deployment: Deployment, name: str) -> None:
    python = bare_python(tmp_path / "venv", VLA_EVAL, f"{client_wheel(tmp_path)}[gymnasium]")
    done = run_alone([str(python), "-c", PROGRAM, deployment.target, name], tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(set(told["episodes"])) == len(told["results"]) == 4
    assert sum(result["metrics"]["success"] for result in told["results"]) >= 3  # by chance: half of them
    with Client(deployment.target) as client:
        for episode_id, actions in zip(told["episodes"], told["actions"], strict=True):
            assert [step.action for step in client.memory(episode_id)] == actions
            assert client.get_episode(episode_id).ended
