"""`shelm whatif`: what the agent would have done at a step with other words in its memory, or what another agent would.

The JSON object has episode_id, step, action, reach_from_step, actual and alternatives; each alternative has edits and agent,
and, as actual, distribution, most_probable, value, change and words ([step, [[word, similarity], ...]] pairs). A
distribution has entropy and one of probabilities (by action), mean and deviation, or parts, which are distributions.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from shelm.cli.edits import edit_text
from shelm.cli.frames import frame_in
from shelm.cli.show import action_json, action_text, distribution_json, distribution_text, space_in, words_json
from shelm.cli.terminal import bar, line_of_json, table
from shelm.client import Client
from shelm.edits import Alternative, Edit
from shelm.results import ActionSpace, Outcome, Token, WhatIf

COLUMNS = ("memory", "change", "", "most probable", "value", "entropy", "distribution")


def whatif(client: Client, arguments: argparse.Namespace) -> None:
    """Prints the distribution over actions with the memory as it is, and with each alternative."""
    frame = frame_in(arguments.frame) if arguments.frame else None
    alternatives = _alternatives(arguments.edits, arguments.agent, each=arguments.each)
    found = client.what_if(arguments.episode, arguments.step, alternatives, frame)
    space = space_in(client, client.get_episode(arguments.episode))
    if arguments.json:
        line_of_json(_fields(arguments.episode, found, alternatives, space))
    else:
        _print(found, alternatives, space)


def _alternatives(edits: Sequence[Edit], agent: str, *, each: bool) -> list[Alternative]:
    """Returns one alternative of all edits, or with `each` one for each; none without edits and agent."""
    if each:
        return [Alternative([edit], agent) for edit in edits]
    return [Alternative(edits, agent)] if edits or agent else []


def _print(found: WhatIf, alternatives: Sequence[Alternative], space: ActionSpace | None) -> None:
    print(f"step {found.step}  -> {action_text(found.action, space)}")
    print(f"words reach back to step {found.reach_from_step}\n")
    named = list(zip(map(_name, alternatives), found.alternatives))
    table(COLUMNS, [_row(name, one, space) for name, one in (("as it is", found.actual), *named)])
    for name, outcome in named:
        if outcome.words:
            print(f"\n{name}")
            before = found.actual.words
            rows = [[f"{step:4d}", _texts(before.get(step, [])), _texts(now)] for step, now in outcome.words.items()]
            table(("step", "was", "is"), rows)


def _name(alternative: Alternative) -> str:
    who = [f"agent {alternative.agent}"] if alternative.agent else []
    return ", ".join([*map(edit_text, alternative.edits), *who])


def _row(name: str, outcome: Outcome, space: ActionSpace | None) -> list[str]:
    change = ["", ""] if outcome.change is None else [f"{outcome.change:.3f}", bar(outcome.change)]
    distribution = outcome.distribution
    numbers = [f"{outcome.value:.3f}", f"{distribution.entropy:.3f}"]
    action = f"-> {action_text(outcome.most_probable, space)}"
    return [name, *change, action, *numbers, distribution_text(distribution, space)]


def _texts(tokens: Sequence[Token]) -> str:
    return " ".join(token.text for token in tokens) or "-"


def _fields(
    episode_id: str, found: WhatIf, alternatives: Sequence[Alternative], space: ActionSpace | None
) -> dict[str, Any]:
    return {
        "episode_id": episode_id,
        "step": found.step,
        "action": action_json(found.action, space),
        "reach_from_step": found.reach_from_step,
        "actual": _outcome_fields(found.actual, space),
        "alternatives": [
            {"edits": [edit_text(edit) for edit in one.edits], "agent": one.agent, **_outcome_fields(outcome, space)}
            for one, outcome in zip(alternatives, found.alternatives)
        ],
    }


def _outcome_fields(outcome: Outcome, space: ActionSpace | None) -> dict[str, Any]:
    return {
        "distribution": distribution_json(outcome.distribution, space),
        "most_probable": action_json(outcome.most_probable, space),
        "value": outcome.value,
        "change": outcome.change,
        "words": [[step, words_json(tokens)] for step, tokens in outcome.words.items()],
    }
