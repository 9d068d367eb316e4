"""Shadow: the recorded frames of a past episode played to another agent of the server, and where it parts from what was.

Contract: nothing happens in the past episode. Two episodes with random names, one of the other agent and one of the
episode's own, get its recorded frames, most probable actions chosen, and are deleted at the end, also after an error. The
actions of both follow the recorded frames, not their own choices: what the other agent would have seen after a choice of
its own is not known. Words and values are compared with those that the past episode committed, the most probable actions
and the distributions with those of its own agent on the same frames, because the action that it committed may have been
drawn.

Failure policy: `ShelmError` of the server, as AgentNotFound if the episode's own agent is no longer served, or
FrameNotRecorded; before anything is created AgentMismatch if the two agents take other actions or other frames,
FailedPrecondition for a branch with edited words, StepTooOld if the episode has lost its first steps. A `ShelmError` of the
deletion is raised only if nothing else was; what a process that was killed has left expires like every episode.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import grpc
import numpy as np

from shelm.client import Client
from shelm.errors import AgentMismatch, FailedPrecondition, ShelmError, StepTooOld
from shelm.results import Act, Action, ActionSpace, Agent, Continuous, Discrete, Distribution, MemoryStep

SAME = 0.01  # of the range of a continuous action's dimension: means nearer than this are the same action


@dataclass(frozen=True, eq=False)
class ShadowStep:
    """One step of the past episode beside what the other agent makes of it."""

    step: int
    words: tuple[list[str], list[str]]
    """The words that were committed, and those of the other agent; most similar first."""
    actions: tuple[Action, Action]
    """The most probable action of the episode's own agent, and of the other."""
    values: tuple[float, float]
    """The value that was committed, and that of the other agent."""
    change: float | None
    """Total variation distance of the distributions over actions, 0 .. 1; of a dict action the largest of its parts. None
    for continuous actions."""
    words_part: bool
    action_parts: bool


@dataclass(frozen=True, eq=False)
class Shadow:
    """A past episode beside what another agent makes of its frames."""

    episode_id: str
    agent: str
    """Name of the episode's own agent."""
    steps: list[ShadowStep]


def comparable(own: Agent, other: Agent) -> bool:
    """Whether both take the same frames and choose among the same actions; names of actions do not count."""
    frames = ((one.observation_shape, one.channels, one.stacked) for one in (own, other))
    return len(set(frames)) == 1 and _sizes(own.action_space) == _sizes(other.action_space)


def shadow(client: Client, episode_id: str, agent: str) -> Shadow:
    """Plays the recorded frames of an episode to `agent`, a name or digest of the same server, and compares."""
    info, other = client.get_episode(episode_id), client.agent(agent)
    own = client.agent(info.agent_digest)
    if not comparable(own, other):
        raise AgentMismatch(
            f"{other.name} takes other frames or other actions than {own.name}, the agent of episode {episode_id}",
            code=grpc.StatusCode.FAILED_PRECONDITION,
            advice="choose an agent for the same frames and actions",
        )
    if info.branch is not None and info.branch.edits:
        raise FailedPrecondition(
            f"episode {episode_id} is a branch with edited words, which its frames do not give",
            code=grpc.StatusCode.FAILED_PRECONDITION,
            advice=f"compare the episode that it comes from, {info.branch.source}",
        )
    steps = list(client.memory(episode_id, without_words=True))
    if steps and steps[0].step > 0:
        raise StepTooOld(
            f"episode {episode_id} has lost the steps before {steps[0].step}, which its memory was made of",
            code=grpc.StatusCode.OUT_OF_RANGE,
            advice="choose a shorter episode, or let the server retain more steps",
        )
    with _episode(client, own) as before, _episode(client, other) as after:
        compared = [_step(client, episode_id, step, (before, after), own.action_space) for step in steps]
    return Shadow(episode_id, own.name, compared)


@contextmanager
def _episode(client: Client, agent: Agent) -> Iterator[str]:
    """Creates an episode that is deleted at the end."""
    name = f"shadow-{uuid.uuid4().hex}"
    try:
        client.create_episode(name, agent=agent.digest, seed=0, deterministic=True)
        yield name
    except BaseException:
        with suppress(ShelmError):
            client.delete_episode(name)
        raise
    client.delete_episode(name)


def _step(client: Client, episode_id: str, was: MemoryStep, names: tuple[str, str], space: ActionSpace) -> ShadowStep:
    frame = client.frame(episode_id, was.step)
    acts = client.act_batch(dict.fromkeys(names, frame), distribution=True)
    own, other = (_act(acts[name]) for name in names)
    words = [token.text for token in was.tokens], [token.text for token in other.tokens]
    return ShadowStep(
        step=was.step,
        words=words,
        actions=(own.action, other.action),
        values=(was.value, other.value),
        change=_change(own.distribution, other.distribution),
        words_part=words[0] != words[1],
        action_parts=_parts(own.action, other.action, space),
    )


def _act(answer: Act | ShelmError) -> Act:
    if isinstance(answer, ShelmError):
        raise answer
    return answer


def _parts(own: Action, other: Action, space: ActionSpace) -> bool:
    if isinstance(own, dict) and isinstance(other, dict) and isinstance(space, dict):
        return any(_parts(own[name], other[name], space[name]) for name in own)
    if isinstance(space, Continuous):
        ranges = np.subtract(space.high, space.low)
        apart = np.abs(np.asarray(own) - np.asarray(other))
        return bool(np.any(apart > SAME * np.where(np.isfinite(ranges), ranges, 1.0)))
    return bool(own != other)


def _change(own: Distribution | None, other: Distribution | None) -> float | None:
    if own is None or other is None:
        return None
    if own.parts:
        changes = [_change(own.parts[name], other.parts[name]) for name in own.parts]
        return max((change for change in changes if change is not None), default=None)
    if not own.probabilities:
        return None
    return float(np.abs(np.subtract(own.probabilities, other.probabilities)).sum() / 2)


def _sizes(space: ActionSpace) -> object:
    if isinstance(space, dict):
        return {name: _sizes(part) for name, part in space.items()}
    return space.n if isinstance(space, Discrete) else (space.low, space.high)
