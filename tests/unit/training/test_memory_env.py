"""The memory wrapper on the serving engines: each step once, each episode from nothing."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModel, LlamaConfig

from agent.history import MemoryStep
from agent.memory.causal_lm import CausalLanguageModel
from agent.memory.slots import MemorySlots
from training.environments.minigrid import MiniGridVecEnv
from training.memory import WordMemory
from training.memory_env import MemoryVecEnv, TimeLimitsAreEnds

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


@pytest.mark.slow
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
                answer = plain[row].rebuild_and_remember(MemoryStep("e", len(before), (word,), b"h" * 16), before)
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


@pytest.mark.parametrize("ends", [False, True])
def test_time_limits_are_told_or_are_ends_like_any_other(ends: bool) -> None:
    plain = MiniGridVecEnv([(S7, 2)], seed=0)
    environment = TimeLimitsAreEnds(plain) if ends else plain
    environment.reset()
    left, told = 0, []
    for _ in range(300):  # turning left for ever, until the time is up (245 steps)
        _, _, dones, infos = environment.step(np.full(2, left))
        told += [infos[row]["TimeLimit.truncated"] for row in np.flatnonzero(dones)]
    assert told == [not ends] * 2
