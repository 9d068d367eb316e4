"""Episodes of agents without words outlive versions, processes and Redis; a baseline plays beside SHELM; code is opt-in."""

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.wrappers import TransformObservation
from shelm import Client
from shelm.errors import EnvironmentMismatch
from shelm.gym import play
from shelm.v1 import agent_pb2
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack
from support.deployment import NotReady, Standalone
from support.errors import refused
from support.frames import collect_frames
from support.policies import Squares, trained_ppo
from support.waiting import wait_for

pytest.importorskip("onnxruntime")
from agent.action_space import ActionSpace
from agent.policy.heads import action_heads, choose
from agent.wordless.policy import Item
from services.store.keys import episode_key, history_key
from training import ppo
from training.bundle_policy import main as bundle_policy
from training.policies.helm import HelmPolicy

GOLDEN = Path(__file__).parents[1] / "golden" / "wordless_episode"
NAME, SEED, CLOSE = "golden:wordless", 7, 1e-4
SHELM = Path(__file__).parents[2] / "models" / "minigrid-memory"
S7 = "MiniGrid-MemoryS7-v0"
ENDED_TTL = 1  # second


def test_an_episode_that_an_earlier_version_has_stored_is_read_continued_and_archived(tmp_path: Path) -> None:
    content: dict[str, Any] = json.loads((GOLDEN / "episode.json").read_text())
    answers, stored = content["answers"], len(content["stream"])
    settings = {"SHELM_AGENTS": str(GOLDEN / "bundle"), "SHELM_ENDED_TTL": str(ENDED_TTL)}
    with Standalone(tmp_path / "run", {**settings, "SHELM_ARCHIVE": str(tmp_path / "archive")}).running() as running:
        keys = episode_key(NAME), history_key(NAME)
        with running.redis() as client:
            client.hset(keys[0], mapping={name: base64.b64decode(value) for name, value in content["episode"].items()})
            for entry, fields in content["stream"]:
                client.xadd(keys[1], {name: base64.b64decode(value) for name, value in fields.items()}, id=entry)
            for key in keys:
                client.pexpire(key, 3_600_000)
        frames, gateway = collect_frames(len(answers)), running.gateway
        again = gateway.act(NAME, stored - 1, frames[stored - 1])
        assert again.replayed
        new = [gateway.act(NAME, step, frames[step], distribution=True) for step in range(stored, len(answers))]
        found = [again, *new]
        for answer, expected in zip(found, answers[stored - 1 :], strict=True):
            assert answer.action.discrete == expected["action"].get("discrete", 0)
            assert answer.log_prob == pytest.approx(expected["log_prob"], abs=CLOSE)
        for answer in new:
            chance = answer.distribution.probabilities.values[answer.action.discrete]
            assert np.log(chance) == pytest.approx(answer.log_prob, abs=CLOSE)
        gateway.end(NAME, total_reward=0.5)
        with running.redis() as client:
            wait_for("it is in the archive alone", lambda: not client.exists(*keys), seconds=60)
        assert gateway.episode(NAME).archived
        request = agent_pb2.GetMemoryRequest(episode_id=NAME, limit=100, without_words=True)
        steps = gateway.call("GetMemory", request).steps
        assert [one.action.discrete for one in steps] == [one["action"].get("discrete", 0) for one in answers]


@pytest.mark.long
def test_a_baseline_with_a_language_model_plays_beside_shelm_and_continues_after_a_kill(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    options = ["--method", "helm", "--env", S7, "--task", f"{S7}:16", "--rollout", "16", "--steps", "256"]
    ppo.main(["--out", str(tmp_path / "run"), *options])
    bundle_policy(["--run", str(tmp_path / "run"), "--out", str(tmp_path / "helm")])
    plain, frames, heads = HelmPolicy(tmp_path / "helm"), collect_frames(12), action_heads(ActionSpace(discrete=7))
    settings = {"SHELM_AGENTS": f"{SHELM},{tmp_path / 'helm'}"}
    with pytest.raises(NotReady, match="SHELM_ALLOW_CODE=true"), Standalone(tmp_path / "refused", settings).running():
        pass
    with Standalone(tmp_path / "served", {**settings, "SHELM_ALLOW_CODE": "true"}).running() as running:
        assert isinstance(running, Standalone)
        running.gateway.create("helm", seed=SEED, agent="helm")
        state = b""
        for step, frame in enumerate(frames):
            if step == len(frames) // 2:
                running.kill_and_start()
            beside = running.gateway.act("shelm", step, frame, agent="minigrid-memory")
            answer = running.gateway.act("helm", step, frame)
            assert (beside.memory.length, answer.memory.length) == (step + 1, 0)
            item: Item = frame, state
            ((row, value, state),) = plain.decide([item])  # type: ignore[misc]
            assert answer.action.discrete == choose(heads, row, seed=SEED, step=step, deterministic=False)[0]
            assert answer.value == pytest.approx(value, abs=CLOSE)


def test_grey_stacked_frames_are_played_as_in_training_and_other_frames_are_refused_with_both_sides(tmp_path: Path) -> None:
    envs = VecFrameStack(make_vec_env(partial(Squares, channels=1), 1), 2)
    model = trained_ppo(tmp_path / "agent.zip", env=envs)
    bundle_policy(["--sb3", str(tmp_path / "agent.zip"), "--out", str(tmp_path / "grey"), "--frame-stack", "2"])
    envs.seed(SEED)
    observation: Any = envs.reset()
    expected, ended = list[int](), False
    while not ended:
        action, _ = model.predict(observation, deterministic=True)
        expected.append(int(action[0]))
        observation, _, (ended,), _ = envs.step(action)
    assert len(set(expected)) > 1, "an agent that always does the same would prove nothing"
    with Standalone(tmp_path / "run", {"SHELM_AGENTS": str(tmp_path / "grey")}).running() as running:
        actions = list[Any]()
        with Client(running.target) as client:
            env = Squares(channels=1)
            play(client, env, episodes=1, seed=SEED, deterministic=True, on_step=lambda one: actions.append(one.act.action))
            with pytest.raises(EnvironmentMismatch, match="sees frames of 36x36x3, the environment shows 40x36x3"):
                play(
                    client,
                    TransformObservation(env, lambda frame: np.pad(frame, ((0, 4), (0, 0), (0, 0))), None),
                    episodes=1,
                )
        assert actions == expected
        frame = np.zeros((36, 36, 3), np.uint8)
        frame[0, 0, 0] = 1
        colours = refused(lambda: running.gateway.act("colours", 0, frame))
        assert colours.reason == "INVALID_FIELD"
        assert "expected grey pixels (red, green and blue equal), got colours" in colours.message
        larger = refused(lambda: running.gateway.act("larger", 0, np.zeros((40, 36, 3), np.uint8)))
        assert "expected 36, got 40" in larger.message
        assert refused(lambda: running.gateway.episode("larger")).reason == "EPISODE_NOT_FOUND"
