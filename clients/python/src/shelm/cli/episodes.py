"""`shelm episodes`: the episodes that have not expired, most recently used first; `shelm branch`: one more of them.

A JSON line has episode_id, agent, agent_digest, steps, ended, total_reward, deterministic, seed, create_time, update_time,
expire_time, and branch: null, or source, step and edits of the episode that it goes on from.
"""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
from typing import Any

from shelm.cli.edits import edit_text
from shelm.cli.filters import filter_of
from shelm.cli.names import last_used
from shelm.cli.terminal import line_of_json, table
from shelm.client import Client
from shelm.filters import EVERY
from shelm.results import Branch, EpisodeInfo

COLUMNS = ("episode", "agent", "steps", "state", "reward", "age")


def episodes(client: Client, arguments: argparse.Namespace) -> None:
    """Lists episodes."""
    where = filter_of(arguments)
    wanted = client.list_episodes(archived=arguments.archived, where=None if where == EVERY else where)
    last = last_used(wanted, arguments.limit)
    if arguments.json:
        for episode in last:
            line_of_json(fields(episode))
    else:
        table(COLUMNS, [row(episode, datetime.now(timezone.utc)) for episode in last])


def branch(client: Client, arguments: argparse.Namespace) -> None:
    """Creates an episode that goes on from a step of another one."""
    made = client.branch_episode(arguments.name, arguments.episode, arguments.step, arguments.edits)
    if arguments.json:
        line_of_json(fields(made))
        return
    edited = ", ".join(map(edit_text, arguments.edits)) or "the same words"
    print(f"{made.episode_id} goes on from step {arguments.step} of {arguments.episode}: {edited}")


def _steps(episode: EpisodeInfo) -> int:
    return 0 if episode.committed_step is None else episode.committed_step + 1


def row(episode: EpisodeInfo, now: datetime) -> list[str]:
    """Returns an episode as a row under COLUMNS."""
    reward = "" if episode.total_reward is None else f"{episode.total_reward:.3f}"
    age = _age((now - episode.create_time).total_seconds()) if episode.create_time else ""
    state = "ended" if episode.ended else "running"
    return [episode.episode_id, episode.agent, str(_steps(episode)), state, reward, age]


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def fields(episode: EpisodeInfo) -> dict[str, Any]:
    """Returns an episode as a JSON object."""
    return {
        "episode_id": episode.episode_id,
        "agent": episode.agent,
        "agent_digest": episode.agent_digest,
        "steps": _steps(episode),
        "ended": episode.ended,
        "total_reward": episode.total_reward,
        "deterministic": episode.deterministic,
        "seed": episode.seed,
        "create_time": _time(episode.create_time),
        "update_time": _time(episode.update_time),
        "expire_time": _time(episode.expire_time),
        "branch": _branch(episode.branch) if episode.branch else None,
    }


def _branch(branch: Branch) -> dict[str, Any]:
    return {"source": branch.source, "step": branch.step, "edits": [edit_text(edit) for edit in branch.edits]}


def _time(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
