"""What an evaluation writes, whether it was played through a server (`shelm evaluate`) or in the process of a training.

Contract: all agents play the same episodes, and everything is counted by distinct start (`shelm.gym.starts`,
`shelm.gym.intervals`). The content of a file:

- env, deterministic (greedy actions), edit (`none`, or how the memory was edited, with the edit's settings beside it),
  starts_by: `state`, or `seed` where the environment's state cannot be told, so that each seed counts as a start of its own.
- agents: for each agent, what names it, then episodes, starts (how many distinct ones), mean_return with standard_error and
  interval by start, solved (share of the episodes with a return above 0) with its Wilson interval for as many
  observations as there are starts, and rows: seed, start, return, length and solved of each episode.
- differences: of each further agent's returns to the first one's, episode by episode, with error and interval by start.

Intervals are of 95 %; errors and intervals of means are null with a single start. A file `.json` holds all of it, a file
`.jsonl` one line for each episode. Failure policy: ValueError names another ending.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelm.gym.intervals import clustered, wilson

ENDINGS = (".json", ".jsonl")
UNEDITED = {"edit": "none"}
HEAD = ("agent", "episodes", "starts", "return [95 %]", "solved [95 %]")
DIFFERENCES_HEAD = ("return of", "less that of", "difference [95 %]")


@dataclass(frozen=True)
class Played:
    """One episode that has ended. start: as of `shelm.gym.starts.start_of`; total: its return."""

    seed: int
    start: str
    total: float
    length: int


def content(
    env_id: str,
    agents: Sequence[tuple[Mapping[str, Any], Sequence[Played]]],
    *,
    deterministic: bool,
    edit: Mapping[str, Any] = UNEDITED,
) -> dict[str, Any]:
    """Returns the content of a file. agents: what names each one (`agent` and more), and its episodes in the same order;
    edit: its name under `edit`, and its settings.
    """
    told = not any(one.start.startswith("seed ") for _, played in agents for one in played)
    return {
        "env": env_id,
        "deterministic": deterministic,
        **edit,
        "starts_by": "state" if told else "seed",
        "agents": [{**name, **summary(played)} for name, played in agents],
        "differences": [_difference(other, agents[0]) for other in agents[1:]],
    }


def summary(played: Sequence[Played]) -> dict[str, Any]:
    """Returns one agent's part of a file."""
    starts = [one.start for one in played]
    count = len(set(starts))
    solved = sum(one.total > 0 for one in played) / len(played)
    return {
        "episodes": len(played),
        "starts": count,
        **_rounded("mean_return", [one.total for one in played], starts),
        "solved": round(solved, 6),
        "solved_interval": [round(bound, 6) for bound in wilson(solved, count)],
        "rows": [_row(one) for one in played],
    }


def without_rows(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content without its episodes."""
    short = [{name: value for name, value in agent.items() if name != "rows"} for agent in result["agents"]]
    return {**result, "agents": short}


def tables(result: Mapping[str, Any]) -> list[tuple[Sequence[str], list[list[str]]]]:
    """Returns head and rows of the tables for people: the agents, and their differences if there are several."""
    found: list[tuple[Sequence[str], list[list[str]]]] = [(HEAD, [_agent_cells(one) for one in result["agents"]])]
    if result["differences"]:
        cells = [[one["agent"], one["against"], _text(one["difference"], one["interval"])] for one in result["differences"]]
        found.append((DIFFERENCES_HEAD, cells))
    return found


def out_file(text: str) -> Path:
    """Validates `--out`."""
    if Path(text).suffix not in ENDINGS:
        raise argparse.ArgumentTypeError(f"expected a file that ends in {' or '.join(ENDINGS)}, given {text}")
    return Path(text)


def write(result: Mapping[str, Any], out: Path) -> None:
    """Writes the file, and its folder if missing."""
    lines = [result]
    if out.suffix == ".jsonl":
        names = [{name: value for name, value in one.items() if name in ("agent", "digest")} for one in result["agents"]]
        lines = [{**name, **row} for name, one in zip(names, result["agents"]) for row in one["rows"]]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _row(one: Played) -> dict[str, Any]:
    return {
        "seed": one.seed,
        "start": one.start,
        "return": round(one.total, 6),
        "length": one.length,
        "solved": one.total > 0,
    }


def _difference(
    other: tuple[Mapping[str, Any], Sequence[Played]], first: tuple[Mapping[str, Any], Sequence[Played]]
) -> dict[str, Any]:
    values = [one.total - base.total for one, base in zip(other[1], first[1])]
    names = {"agent": other[0]["agent"], "against": first[0]["agent"]}
    return {**names, **_rounded("difference", values, [one.start for one in other[1]])}


def _rounded(name: str, values: Sequence[float], starts: Sequence[str]) -> dict[str, Any]:
    mean, error, interval = clustered(values, starts)
    return {
        name: round(mean, 6),
        "standard_error": None if error is None else round(error, 6),
        "interval": interval and [round(bound, 6) for bound in interval],
    }


def _agent_cells(one: Mapping[str, Any]) -> list[str]:
    shares = _text(one["solved"], one["solved_interval"])
    return [
        one["agent"],
        str(one["episodes"]),
        str(one["starts"]),
        _text(one["mean_return"], one["interval"]),
        shares,
    ]


def _text(value: float, interval: Sequence[float] | None) -> str:
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
