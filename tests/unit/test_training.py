"""Training: the fast environments, the memory wrapper on the serving engines, and a short run that is interrupted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import ConvertCallback
from stable_baselines3.common.vec_env import VecNormalize
from transformers import AutoModel, LlamaConfig

from agent.history import MemoryStep, MemoryVector
from agent.memory.causal_lm import CausalLanguageModel
from agent.memory.slots import MemorySlots
from training import ppo
from training.chance import RandomAgent
from training.environments import single_environment, vector_environment
from training.environments.minigrid import MiniGridVecEnv
from training.evaluate import evaluate, outcome
from training.memory import WordMemory
from training.memory_env import MemoryVecEnv
from training.policy import LinearEntropySchedule
from training.presets import METHODS

S7 = "MiniGrid-MemoryS7-v0"
WORDS = 50


def tiny_slots(rows: int) -> MemorySlots:
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=WORDS,
    )
    torch.manual_seed(0)
    model = CausalLanguageModel(
        model=AutoModel.from_config(config), lm_token_ids=torch.arange(WORDS), window=8, tokens_per_step=1
    )
    return MemorySlots(language_model=model, vocabulary_size=WORDS, agent_digest="test", slots=rows)


def command(out: Path, method: str) -> list[str]:
    return ["--out", str(out), "--method", method, "--env", S7, "--task", f"{S7}:16", "--rollout", "16"]


def word_of(frame: NDArray[np.uint8]) -> int:
    return int(frame.astype(np.int64).sum() % WORDS)


def wrapped(environment: MiniGridVecEnv, fed: list[list[int]] | None = None) -> MemoryVecEnv:
    def words(frames: NDArray[np.uint8]) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = [(word_of(frame),) for frame in frames]
        if fed is not None:
            fed.append([word[0] for word in found])
        return found

    slots = tiny_slots(environment.num_envs)
    return MemoryVecEnv(environment, WordMemory(words=words, slots=slots, agent_digest="test", dimension=16))


def test_a_row_that_ends_goes_on_with_the_first_frame_of_its_next_episode() -> None:
    environment = MiniGridVecEnv([(S7, 4), ("MiniGrid-MemoryS11-v0", 4)], seed=3)
    frames: Any = environment.reset()
    assert frames.shape == (8, 3, 56, 56)
    assert frames.dtype == np.uint8
    rng = np.random.default_rng(0)
    lengths = np.zeros(8, int)
    ended = 0
    for _ in range(400):
        frames, rewards, dones, infos = environment.step(rng.choice([0, 1, 2, 2], 8))
        lengths += 1
        for row in np.flatnonzero(dones):
            info = infos[row]
            assert info["episode"]["l"] == lengths[row]
            assert info["episode"]["r"] == pytest.approx(rewards[row])  # MiniGrid-Memory pays at the end alone
            assert info["environment"] == (S7 if row < 4 else "MiniGrid-MemoryS11-v0")
            assert not np.array_equal(info["terminal_observation"], frames[row])
            lengths[row], ended = 0, ended + 1
        assert all(not info for info, done in zip(infos, dones, strict=True) if not done)
    assert ended > 5
    environment.close()


def test_each_step_of_an_episode_enters_its_memory_once_and_a_new_episode_begins_empty() -> None:
    fed: list[list[int]] = []
    environment = wrapped(MiniGridVecEnv([(S7, 3)], seed=1), fed)
    rng = np.random.default_rng(1)
    observation: Any = environment.reset()
    plain = [tiny_slots(1) for _ in range(3)]
    words: list[list[int]] = [[fed[0][row]] for row in range(3)]
    ended = 0
    for _ in range(150):
        fed.clear()
        observation, _, dones, _ = environment.step(rng.choice([0, 1, 2, 2], 3))
        for row in range(3):
            word = word_of(observation["frame"][row].transpose(1, 2, 0))
            words[row] = [word] if dones[row] else [*words[row], word]
            ended += int(dones[row])
            if len(words[row]) > 1:
                before = words[row][:-1]
                plain[row].rebuild("e", len(before), before, b"h" * 16)
                (answer,) = plain[row].remember([MemoryStep("e", len(before), (word,), b"h" * 16)])
                assert isinstance(answer, MemoryVector)
                np.testing.assert_allclose(observation["memory"][row], answer.vector, atol=1e-5)
    assert ended > 2


def test_the_last_observation_of_a_truncated_episode_has_its_own_memory_vector() -> None:
    environment = wrapped(MiniGridVecEnv([(S7, 2)], seed=5))
    environment.reset()
    for _ in range(300):  # turning on the spot until the time limit of 245 steps
        observation, _, dones, infos = environment.step(np.zeros(2, int))
        if dones.any():
            row = int(np.flatnonzero(dones)[0])
            assert infos[row]["TimeLimit.truncated"]
            last: Any = infos[row]["terminal_observation"]
            assert last["memory"].any()
            assert isinstance(observation, dict)
            assert not np.allclose(last["memory"], observation["memory"][row])
            return
    pytest.fail("no episode was truncated")


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_run_goes_on_from_its_checkpoint(tmp_path: Path, method: str) -> None:
    common = [*command(tmp_path, method), "--checkpoint-every", "1"]
    ppo.main([*common, "--steps", "512"])
    first = load_file(tmp_path / "policy.safetensors")
    ppo.main([*common, "--steps", "1024", "--resume"])
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [256, 512, 768, 1024]
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["steps"] == 1024
    second = load_file(tmp_path / "policy.safetensors")
    assert any(not torch.equal(first[name], second[name]) for name in first)
    result = evaluate(tmp_path, S7, episodes=3, first_seed=0, deterministic=True, forget=False)
    assert result["method"] == method
    assert len(result["returns"]) == len(result["lengths"]) == 3


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    common = [*command(tmp_path, "cnn"), "--steps", "256"]
    ppo.main(common)
    first = load_file(tmp_path / "policy.safetensors")
    ppo.main([*common, "--resume"])
    second = load_file(tmp_path / "policy.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_how_far_ahead_an_answer_counts_is_a_setting_of_the_run(tmp_path: Path) -> None:
    pictures = ppo.parse_arguments(["--out", str(tmp_path), "--env", "shelm/ContinuousRecognition-v0"])
    assert pictures["gamma"] < ppo.parse_arguments(["--out", str(tmp_path), "--env", S7])["gamma"]
    run = ppo.parse_arguments([*command(tmp_path, "cnn"), "--gamma", "0.5", "--normalise-reward"])
    environment, _ = ppo.make_environment(run)
    algorithm: Any = ppo.make_algorithm(run, environment)
    assert algorithm.gamma == algorithm.rollout_buffer.gamma == 0.5
    assert isinstance(environment, VecNormalize)
    assert environment.gamma == 0.5


def test_the_entropy_bonus_falls_to_its_end_also_when_a_run_goes_on() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, n_epochs=1, device="cpu")
    seen: list[float] = []
    falling = LinearEntropySchedule(0.2, 0.1)

    def note(*_: Any) -> bool:
        seen.append(model.ent_coef)
        return True

    model.learn(128, callback=[falling, ConvertCallback(note)])
    assert model.ent_coef == pytest.approx(0.1)
    model.learn(128, callback=[falling, ConvertCallback(note)], reset_num_timesteps=False)  # 256 in all, half of them done
    assert model.ent_coef == pytest.approx(0.1)
    assert seen[127] == pytest.approx(0.15)
    assert seen[-1] == pytest.approx(0.125)


def test_any_environment_that_gymnasium_knows_can_be_trained_on() -> None:
    environment = vector_environment([("docs.examples.signals:Signals-v0", 3)], seed=1)
    frames: Any = environment.reset()
    assert frames.shape == (3, 3, 56, 56)
    for step in range(6):
        _, rewards, dones, infos = environment.step(np.array([0, 0, 1]))
        assert dones.all() == (step == 5)
    signals = frames[:, :, 28, 28].argmax(axis=1)  # the brightest channel: 0 red, 1 green
    assert rewards.tolist() == (signals == [0, 0, 1]).tolist()
    assert {info["environment"] for info in infos} == {"docs.examples.signals:Signals-v0"}


def test_an_environment_without_frames_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"gymnasium:CartPole-v1: observation_space: expected uint8"):
        single_environment("gymnasium:CartPole-v1")


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="got 'CartPole-v1'"):
        single_environment("CartPole-v1")


def test_random_actions_depend_on_the_episodes_seed_and_the_step_alone() -> None:
    agent, other = RandomAgent(S7), RandomAgent(S7)
    frames = np.zeros((6, 4, 4, 3), np.uint8)
    places = [(0, seed, step) for seed in (1, 2) for step in range(3)]
    drawn = agent.act(frames, places, deterministic=False)
    assert other.act(frames[:3], places[3:], deterministic=False) == drawn[3:]
    many = agent.act(frames, [(0, 5, step) for step in range(700)], deterministic=False)
    assert np.bincount(many, minlength=7) == pytest.approx(np.full(7, 100), abs=40)


def test_outcomes_of_random_actions_are_those_of_the_environments_own_episodes() -> None:
    found = outcome(RandomAgent(S7), S7, range(10, 13), deterministic=False)
    again = outcome(RandomAgent(S7), S7, range(11, 13), deterministic=False)
    assert (again["returns"], again["lengths"]) == (found["returns"][1:], found["lengths"][1:])
