"""Episodes as rows, one for each step: JSON lines, or CSV with two columns for each word."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import Any, TextIO

from shelm.export.recorded import Recorded
from shelm.texts import step_json

COLUMNS = ("episode_id", "agent", "agent_digest", "total_reward", "step", "time", "action", "value", "in_window")


def write_jsonl(episodes: Iterable[Recorded], file: TextIO) -> None:
    """Writes one JSON object per step: episode_id, agent, agent_digest, total_reward, and what `shelm memory --json` has."""
    for episode in episodes:
        for row in rows_of(episode):
            file.write(json.dumps(row) + "\n")


def write_csv(episodes: Iterable[Recorded], file: TextIO) -> None:
    """Writes a header and one row per step, with word_1, similarity_1, word_2, ... after the columns of JSON lines.

    An action is its name or number, or JSON of a continuous one or of several parts. What is not there is empty.
    """
    rows = [row for episode in episodes for row in rows_of(episode)]
    most = max((len(row["words"]) for row in rows), default=0)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*COLUMNS, *(name for rank in range(1, most + 1) for name in (f"word_{rank}", f"similarity_{rank}"))])
    for row in rows:
        words = [cell for pair in row["words"] for cell in pair]
        writer.writerow([*(cell(row[name]) for name in COLUMNS), *words, *[""] * (2 * most - len(words))])


def rows_of(episode: Recorded) -> Iterable[dict[str, Any]]:
    """Returns a row for each step, as JSON lines have it."""
    info = episode.info
    whole = {
        "episode_id": info.episode_id,
        "agent": info.agent,
        "agent_digest": info.agent_digest,
        "total_reward": info.total_reward,
    }
    return ({**whole, **step_json(step, episode.space)} for step in episode.steps)


def cell(value: Any) -> Any:
    """Returns a value as a table's cell has it: JSON if it has parts."""
    return json.dumps(value) if isinstance(value, (bool, dict, list)) else value
