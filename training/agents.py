"""Trained agents for evaluation, with the same interface for every method.

Failure policy: weights that do not fit the run's settings raise torch's own errors.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from agent.action_space import ActionSpace
from agent.bundle import AgentBundle, PolicyPart
from agent.engines.memory import load_slots
from agent.engines.retrieval import load_retriever
from agent.frame import Frame
from agent.policy.actor_critic import ActorCritic, load_actor_critic
from agent.policy.heads import Head, action_heads, choose, choose_action, row_sizes
from agent.vocabulary import Word
from training.engines import CACHE_FRAMES, load_memory
from training.memory import EditedMemory, Memory
from training.recurrent import load_policy

Frames = NDArray[np.uint8]  # (rows, height, width, 3)
Place = tuple[int, int, int]  # row of the memory, episode seed, step


class Agent(Protocol):
    """Acts in several episodes at once, each in a row of its own."""

    def begin(self, row: int) -> None:
        """Begins an episode in the row, or empties its memory."""

    def act(self, frames: Frames, places: Sequence[Place], *, deterministic: bool) -> list[Any]:
        """Returns one action per frame; a sampled action depends only on its episode's seed and step, besides the policy's
        output.
        """


class Retriever(Protocol):
    """Finds words for frames; agent.retrieval.retriever.TokenRetriever is one."""

    def retrieve(self, frames: Sequence[Frame]) -> list[list[Word]]:
        """Returns the words of each frame, most similar first."""


def load_agent(run: dict[str, Any], folder: Path, *, num_envs: int, device: str = "cpu") -> "MemoryAgent | LstmAgent":
    """Loads the agent of a run (the content of its run.json) on a torch device for `num_envs` parallel episodes."""
    weights = load_file(folder / "policy.safetensors")
    if run["method"] == "lstm":
        return LstmAgent(run, weights, device)
    height, width = run["frame"]
    memory = load_memory(run, num_envs=num_envs, pixels=height * width, device=device, words=EditedMemory)
    if (folder / "memory.safetensors").exists():
        memory.load_state_dict(load_file(folder / "memory.safetensors"))
    policy = load_actor_critic_of(run, weights, memory=memory.dimension)
    return MemoryAgent(policy.to(device), memory, action_heads(ActionSpace.model_validate(run["actions"])), device)


def load_actor_critic_of(run: dict[str, Any], weights: dict[str, torch.Tensor], *, memory: int) -> ActorCritic:
    """Builds the actor-critic of a run for memory vectors of this dimension, and loads its weights."""
    height, width = run["frame"]
    actions, deviations = row_sizes(ActionSpace.model_validate(run["actions"]))
    shape = PolicyPart(**run["policy"])
    policy = ActorCritic(shape, height=height, width=width, memory=memory, actions=actions, deviations=deviations)
    policy.load_state_dict(weights)
    return policy.eval()


def load_bundle_agent(bundle: AgentBundle, *, num_envs: int, retriever: Retriever | None = None) -> "MemoryAgent":
    """Loads the agent of a bundle with the engines of the services, for `num_envs` parallel episodes on the CPU. retriever:
    instead of the bundle's.
    """
    retrieving = retriever or load_retriever(bundle, device="cpu", cache_frames=CACHE_FRAMES)
    slots = load_slots(bundle, device="cpu", slots=num_envs)

    def words(frames: Frames) -> list[tuple[int, ...]]:
        return [tuple(word.row for word in found) for found in retrieving.retrieve(list(frames))]

    memory = EditedMemory(words=words, slots=slots, agent_digest=bundle.digest, dimension=slots.dimension)
    return MemoryAgent(load_actor_critic(bundle).eval(), memory, action_heads(bundle.manifest.actions))


class MemoryAgent:
    """An actor-critic with a memory (which may be NoMemory)."""

    def __init__(self, policy: ActorCritic, memory: Memory, heads: Sequence[Head], device: str = "cpu") -> None:
        self._policy, self.memory, self._heads, self._device = policy, memory, heads, device

    def begin(self, row: int) -> None:
        """Empties the row's memory."""
        self.memory.begin(row)

    def act(self, frames: Frames, places: Sequence[Place], *, deterministic: bool) -> list[Any]:
        """Appends the frames to the memory, then acts on frames and memory vectors, as in the server."""
        return self.act_on(frames, frames, places, deterministic=deterministic)

    def act_on(self, remembered: Frames, seen: Frames, places: Sequence[Place], *, deterministic: bool) -> list[Any]:
        """Does the same with one frame for the memory and another for the policy's convolutions."""
        memory = torch.from_numpy(self.memory.remember(remembered, [row for row, _, _ in places])).to(self._device)
        features = self._policy.encode(torch.from_numpy(seen).to(self._device).permute(0, 3, 1, 2))
        parameters, _ = self._policy.decide(features, memory)
        return [
            choose(self._heads, row, seed=seed, step=step, deterministic=deterministic)[0]
            for row, (_, seed, step) in zip(parameters.cpu().numpy(), places, strict=True)
        ]


class LstmAgent:
    """The recurrent policy of sb3-contrib, with one LSTM state per row."""

    def __init__(self, run: dict[str, Any], weights: dict[str, torch.Tensor], device: str = "cpu") -> None:
        self._policy, self._device = load_policy(run, weights).to(device), device
        self._states: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def begin(self, row: int) -> None:
        """Sets the row's LSTM state to zero."""
        self._states.pop(row, None)

    def act_on(self, remembered: Frames, seen: Frames, places: Sequence[Place], *, deterministic: bool) -> list[Any]:
        """Acts on `seen`: there is no other memory than the LSTM's."""
        return self.act(seen, places, deterministic=deterministic)

    def act(self, frames: Frames, places: Sequence[Place], *, deterministic: bool) -> list[Any]:
        """Advances the LSTM states of the rows by one step and returns the actions."""
        rows = [row for row, _, _ in places]
        zeros = torch.zeros(self._policy.lstm_hidden_state_shape[::2], device=self._device)
        hidden, cell = (torch.stack([self._states.get(row, (zeros, zeros))[i] for row in rows], dim=1) for i in (0, 1))
        observations = torch.from_numpy(frames).to(self._device).permute(0, 3, 1, 2)
        starts = torch.zeros(len(rows), device=self._device)
        distribution, (hidden, cell) = self._policy.get_distribution(observations, (hidden, cell), starts)
        for i, row in enumerate(rows):
            self._states[row] = hidden[:, i], cell[:, i]
        logits: Any = distribution.distribution
        return [
            choose_action(row, seed=seed, step=step, deterministic=deterministic)[0]
            for row, (_, seed, step) in zip(logits.logits.cpu().numpy(), places, strict=True)
        ]
