"""Words, actions and distributions as texts for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from shelm.errors import AgentNotFound
from shelm.reader import Reader
from shelm.results import Action, ActionSpace, Discrete, Distribution, EpisodeInfo, MemoryStep, Token

LIKELY = 0.01  # probabilities below are not printed


def space_in(client: Reader, episode: EpisodeInfo) -> ActionSpace | None:
    """Returns the action space of an episode's agent, or None if that agent is no longer served."""
    try:
        return client.agent(episode.agent_digest).action_space
    except AgentNotFound:
        return None


def words_json(tokens: Sequence[Token]) -> list[list[object]]:
    """Returns [word, similarity] pairs for programs."""
    return [[token.text, round(token.similarity, 4)] for token in tokens]


def step_json(step: MemoryStep, space: ActionSpace | None) -> dict[str, object]:
    """Returns step, words, action, value, in_window and time of a step as JSON."""
    return {
        "step": step.step,
        "words": words_json(step.tokens),
        "action": action_json(step.action, space),
        "value": round(step.value, 4),
        "in_window": step.in_window,
        "time": step.time.isoformat() if step.time else None,
    }


def step_line(step: int, tokens: Sequence[Token], action: Action, space: ActionSpace | None) -> str:
    """Returns a line such as `   3  doorway (0.93)  wall (0.88)  -> forward`."""
    words = "  ".join(f"{token.text} ({token.similarity:.2f})" for token in tokens)
    return f"{step:4d}  {words}  -> {action_text(action, space)}"


def action_text(action: Action, space: ActionSpace | None) -> str:
    """Returns the name of a discrete action (its number if it has no name), the values of a continuous one, or all parts.

    For instance `forward`, `[0.25 -1.00]`, `jump=no  real=[0.25 -1.00]`. With `space` None there are no names.
    """
    if isinstance(action, dict):
        return "  ".join(f"{name}={action_text(part, _part_space(space, name))}" for name, part in action.items())
    if isinstance(action, int):
        return action_name(action, space)
    return "[" + " ".join(f"{value:.2f}" for value in action) + "]"


def action_json(action: Action, space: ActionSpace | None) -> object:
    """Returns the action as JSON: a string, a list of numbers, or an object of both."""
    if isinstance(action, dict):
        return {name: action_json(part, _part_space(space, name)) for name, part in action.items()}
    return action_name(action, space) if isinstance(action, int) else [float(value) for value in action]


def space_text(space: ActionSpace) -> str:
    """Returns the size of an action space: `7 actions`, `2 dimensions`, `jump: 2 actions, real: 18 dimensions`."""
    if isinstance(space, dict):
        return ", ".join(f"{name}: {space_text(part)}" for name, part in space.items())
    return f"{space.n} actions" if isinstance(space, Discrete) else f"{len(space.low)} dimensions"


def space_json(space: ActionSpace) -> dict[str, object]:
    """Returns an action space as JSON: n and names; low, high and names; or parts, which are such objects."""
    if isinstance(space, dict):
        return {"parts": {name: space_json(part) for name, part in space.items()}}
    return asdict(space)


def _part_space(space: ActionSpace | None, name: str) -> ActionSpace | None:
    """Returns the space of one part of a dict action."""
    return space.get(name) if isinstance(space, dict) else None


def action_name(action: int, space: ActionSpace | None) -> str:
    """Returns the name of a discrete action, its number if it has none."""
    names = space.names if isinstance(space, Discrete) else ()
    return names[action] if action < len(names) else str(action)


def distribution_text(distribution: Distribution, space: ActionSpace | None) -> str:
    """Returns the likely actions with their probabilities, `0.25 +- 0.10` for each dimension, or all parts."""
    if distribution.parts:
        parts = distribution.parts.items()
        return "  ".join(f"{name}: {distribution_text(part, _part_space(space, name))}" for name, part in parts)
    if distribution.mean:
        return " ".join(f"{mean:.2f} +- {apart:.2f}" for mean, apart in zip(distribution.mean, distribution.deviation))
    return likely_text(distribution.probabilities, space)


def likely_text(probabilities: Sequence[float], space: ActionSpace | None) -> str:
    """Returns the likely ones of the discrete actions with their probabilities, the most probable first."""
    chances = sorted(enumerate(probabilities), key=lambda pair: -pair[1])
    return ", ".join(f"{action_name(index, space)} {chance:.2f}" for index, chance in chances if chance >= LIKELY)


def distribution_json(distribution: Distribution, space: ActionSpace | None) -> dict[str, object]:
    """Returns entropy and one of probabilities by action, mean and deviation, or parts, which are such objects."""
    fields: dict[str, object] = {"entropy": distribution.entropy}
    if distribution.parts:
        parts = distribution.parts.items()
        return {**fields, "parts": {name: distribution_json(part, _part_space(space, name)) for name, part in parts}}
    if distribution.mean:
        return {**fields, "mean": list(distribution.mean), "deviation": list(distribution.deviation)}
    chances = enumerate(distribution.probabilities)
    return {**fields, "probabilities": {action_name(index, space): chance for index, chance in chances}}
