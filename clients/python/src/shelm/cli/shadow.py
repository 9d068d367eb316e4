"""`shelm shadow`: recorded frames of past episodes played to another agent, and where words, actions and values part.

What is compared with what: `shelm.shadow`. Fails if more than the share --tolerance of the most probable actions parts, so
that a rollout can depend on it.

The JSON object has agent, agent_digest, tolerance, total, episodes and skipped (episode_id and reason of those of --last
that cannot be compared). total and each episode have steps, words_part, actions_part (numbers of steps), mean_change,
mean_value_gap, largest_value_gap; each episode also episode_id, agent, and parted: the steps where words or actions part,
with step, words, actions, values (each of the past episode, then of the other agent) and change.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean
from typing import Any

from shelm.cli.errors import CommandError
from shelm.cli.names import episode_named, last_used
from shelm.cli.terminal import line_of_json, progress, table
from shelm.client import Client
from shelm.errors import FailedPrecondition, FrameNotRecorded, StepTooOld
from shelm.results import ActionSpace, Agent, EpisodeInfo
from shelm.shadow import Shadow, ShadowStep, comparable, shadow
from shelm.texts import action_json, action_text

COLUMNS = ("episode", "agent", "steps", "words part", "actions part", "first", "change", "value gap", "largest")
MANY = sys.maxsize


def shadows(client: Client, arguments: argparse.Namespace) -> None:
    """Prints where the other agent parts from past episodes; fails beyond the tolerance."""
    if bool(arguments.episodes) == bool(arguments.last):
        raise CommandError("name episodes, or give --last N for those that ended last; not both")
    agent = client.agent(arguments.agent)
    found, skipped = _last(client, agent, arguments.last) if arguments.last else (_named(client, agent, arguments), [])
    steps = [step for one in found for step in one.steps]
    if not steps:
        reasons = "".join(f"; {one['episode_id']}: {one['reason']}" for one in skipped[:1])
        raise CommandError(f"nothing to compare with {agent.name}: {_asked(arguments)} has a recorded step{reasons}")
    if arguments.json:
        line_of_json(_fields(agent, found, skipped, arguments.tolerance))
    else:
        _print(agent, found, skipped)
    parted = sum(step.action_parts for step in steps) / len(steps)
    if parted > arguments.tolerance:
        raise CommandError(f"{parted:.1%} of the most probable actions part, more than --tolerance {arguments.tolerance:g}")


def _asked(arguments: argparse.Namespace) -> str:
    return "none that ended, of another agent for the same frames and actions," if arguments.last else "none of the episodes"


def _named(client: Client, agent: Agent, arguments: argparse.Namespace) -> list[Shadow]:
    names = list(dict.fromkeys(episode_named(client, text) for text in arguments.episodes))
    with progress(len(names), "episodes") as advance:
        return [_advanced(shadow(client, name, agent.digest), advance) for name in names]


def _last(client: Client, agent: Agent, count: int) -> tuple[list[Shadow], list[dict[str, str]]]:
    """Compares the episodes that ended last, of other agents for the same frames and actions; those without frames are
    skipped, and said.
    """
    found: list[Shadow] = []
    skipped: list[dict[str, str]] = []
    with progress(count, "episodes") as advance:
        for episode in _candidates(client, agent):
            try:
                found.append(_advanced(shadow(client, episode.episode_id, agent.digest), advance))
            except (FrameNotRecorded, StepTooOld, FailedPrecondition) as error:
                skipped.append({"episode_id": episode.episode_id, "reason": error.message})
            if len(found) == count:
                break
    return found, skipped


def _candidates(client: Client, agent: Agent) -> Iterator[EpisodeInfo]:
    others = {one.digest for one in client.agents() if one.digest != agent.digest and comparable(one, agent)}
    fitting = (one for one in client.list_episodes() if one.ended and one.agent_digest in others)
    return iter(last_used((one for one in fitting if one.committed_step is not None), MANY))


def _advanced(compared: Shadow, advance: Callable[[], None]) -> Shadow:
    advance()
    return compared


def _print(agent: Agent, found: Sequence[Shadow], skipped: Sequence[dict[str, str]]) -> None:
    rows = [[one.episode_id, one.agent, *_row(one.steps, agent.action_space, first=True)] for one in found]
    total = [step for one in found for step in one.steps]
    table(COLUMNS, [*rows, ["total", f"-> {agent.name}", *_row(total, agent.action_space, first=False)]])
    for one in skipped:
        print(f"shelm: skipped {one['episode_id']}: {one['reason']}", file=sys.stderr)


def _row(steps: Sequence[ShadowStep], space: ActionSpace, *, first: bool) -> list[str]:
    sums = _sums(steps)
    change = sums["mean_change"]
    return [
        str(sums["steps"]),
        _share(sums["words_part"], len(steps)),
        _share(sums["actions_part"], len(steps)),
        _first(steps, space) if first else "",
        "" if change is None else f"{change:.3f}",
        f"{sums['mean_value_gap']:.3f}",
        f"{sums['largest_value_gap']:.3f}",
    ]


def _share(count: int, of: int) -> str:
    return f"{count} ({count / max(1, of):.0%})"


def _first(steps: Iterable[ShadowStep], space: ActionSpace) -> str:
    """Returns the first step whose actions part, such as `11 right -> left`."""
    parted = next((one for one in steps if one.action_parts), None)
    if parted is None:
        return "-"
    was, now = (action_text(action, space) for action in parted.actions)
    return f"{parted.step} {was} -> {now}"


def _sums(steps: Sequence[ShadowStep]) -> dict[str, Any]:
    changes = [step.change for step in steps if step.change is not None]
    gaps = [abs(step.values[1] - step.values[0]) for step in steps] or [0.0]
    return {
        "steps": len(steps),
        "words_part": sum(step.words_part for step in steps),
        "actions_part": sum(step.action_parts for step in steps),
        "mean_change": fmean(changes) if changes else None,
        "mean_value_gap": fmean(gaps),
        "largest_value_gap": max(gaps),
    }


def _fields(agent: Agent, found: Sequence[Shadow], skipped: Sequence[dict[str, str]], tolerance: float) -> dict[str, Any]:
    return {
        "agent": agent.name,
        "agent_digest": agent.digest,
        "tolerance": tolerance,
        "total": _sums([step for one in found for step in one.steps]),
        "episodes": [
            {
                "episode_id": one.episode_id,
                "agent": one.agent,
                **_sums(one.steps),
                "parted": [_parted(step, agent) for step in one.steps if step.words_part or step.action_parts],
            }
            for one in found
        ],
        "skipped": list(skipped),
    }


def _parted(step: ShadowStep, agent: Agent) -> dict[str, Any]:
    return {
        "step": step.step,
        "words": step.words,
        "actions": [action_json(action, agent.action_space) for action in step.actions],
        "values": step.values,
        "change": step.change,
    }
