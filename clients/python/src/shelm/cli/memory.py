"""`shelm memory`: the words of an episode, step by step: those committed so far, or, with --follow, as they are committed.

A JSON line has step, words ([word, similarity] pairs), action, value, in_window, time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from shelm.cli.terminal import console, line_of_json
from shelm.client import Client
from shelm.results import ActionSpace, EpisodeInfo, MemoryStep
from shelm.texts import action_text, space_in, step_json, step_line


def memory(client: Client, arguments: argparse.Namespace) -> None:
    """Prints the words of an episode, one line per step; a star marks the steps within the attention window."""
    episode = client.get_episode(arguments.episode)
    show = _printer(episode, space_in(client, episode), as_json=arguments.json)
    read = client.watch_memory if arguments.follow else client.memory
    for step in read(arguments.episode, arguments.from_step, without_words=arguments.without_words):
        show(step)


def _printer(episode: EpisodeInfo, space: ActionSpace | None, *, as_json: bool) -> Callable[[MemoryStep], None]:
    if as_json:
        return lambda step: line_of_json(step_json(step, space))
    rich = console()
    if rich is None:
        return lambda step: print(_line(step, space), flush=True)
    rich.print(f"{episode.episode_id}  {episode.agent}  a dim line is out of the agent's reach", style="bold")
    return lambda step: rich.print(_coloured(step, space))


def _line(step: MemoryStep, space: ActionSpace | None) -> str:
    mark = "*" if step.in_window else " "
    return f"{mark} {step_line(step.step, step.tokens, step.action, space)}"


def _coloured(step: MemoryStep, space: ActionSpace | None) -> Any:
    """Returns the line for a terminal: the most similar word is bold, steps outside the attention window are dim."""
    from rich.text import Text

    line = Text(style="" if step.in_window else "dim")
    line.append(f"{step.step:4d}  ", "dim")
    for rank, token in enumerate(step.tokens):
        line.append(f"{token.text:<12}", "bold" if rank == 0 else "").append(f"{token.similarity:5.2f}  ", "dim")
    return line.append(f"-> {action_text(step.action, space):<10}", "cyan").append(f"  value {step.value:6.3f}", "dim")
