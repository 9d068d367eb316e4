"""`shelm explain`: which earlier words decided a step, and what the agent would have done without each of them.

The JSON object has episode_id, step, action, decision, reach_from_step, words and steps; a decision has probabilities (by
action, for a discrete action space), most_probable and value; each entry of words and steps has words, steps, change and
without, which is a decision.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from shelm.cli.frames import frame_in
from shelm.cli.terminal import bar, line_of_json, table
from shelm.client import Client
from shelm.results import ActionSpace, Decision, Explanation, Influence
from shelm.texts import action_json, action_name, action_text, likely_text, space_in, words_json

COLUMNS = ("change", "", "then")


def explain(client: Client, arguments: argparse.Namespace) -> None:
    """Prints the influence of each word and of each earlier step as a bar."""
    frame = frame_in(arguments.frame) if arguments.frame else None
    explanation = client.explain(arguments.episode, arguments.step, frame, arguments.max_steps)
    space = space_in(client, client.get_episode(arguments.episode))
    if arguments.json:
        line_of_json(_fields(arguments.episode, explanation, space))
    else:
        _print(explanation, space, arguments.top)


def _print(explanation: Explanation, space: ActionSpace | None, top: int) -> None:
    print(f"step {explanation.step}  -> {action_text(explanation.action, space)}")
    print(f"with the whole memory: {_decision(explanation.decision, space)}")
    print(f"words reach back to step {explanation.reach_from_step}")
    if explanation.words:
        print()
        words = [[_words(one), *_row(one, explanation, space), _ranges(one.steps)] for one in explanation.words[:top]]
        table(("without the word", *COLUMNS, "of steps"), words)
    if explanation.steps:
        print()
        steps = [[f"{one.steps[0]:4d}  {_words(one)}", *_row(one, explanation, space)] for one in explanation.steps[:top]]
        table(("without the step", *COLUMNS), steps)


def _words(influence: Influence) -> str:
    return " ".join(dict.fromkeys(token.text for token in influence.tokens))


def _row(influence: Influence, explanation: Explanation, space: ActionSpace | None) -> list[str]:
    then = action_text(influence.without.most_probable, space)
    same = then == action_text(explanation.decision.most_probable, space)
    return [f"{influence.change:.3f}", bar(influence.change), "the same" if same else f"-> {then}"]


def _decision(decision: Decision, space: ActionSpace | None) -> str:
    likely = likely_text(decision.probabilities, space)
    return f"{likely or action_text(decision.most_probable, space)}; value {decision.value:.3f}"


def _ranges(steps: Sequence[int]) -> str:
    """Returns steps such as `2-5 9`."""
    ranges: list[list[int]] = []
    for step in sorted(steps):
        if ranges and step == ranges[-1][1] + 1:
            ranges[-1][1] = step
        else:
            ranges.append([step, step])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def _fields(episode_id: str, explanation: Explanation, space: ActionSpace | None) -> dict[str, Any]:
    return {
        "episode_id": episode_id,
        "step": explanation.step,
        "action": action_json(explanation.action, space),
        "decision": _decision_fields(explanation.decision, space),
        "reach_from_step": explanation.reach_from_step,
        "words": [_influence_fields(influence, space) for influence in explanation.words],
        "steps": [_influence_fields(influence, space) for influence in explanation.steps],
    }


def _influence_fields(influence: Influence, space: ActionSpace | None) -> dict[str, Any]:
    return {
        "words": words_json(influence.tokens),
        "steps": influence.steps,
        "change": influence.change,
        "without": _decision_fields(influence.without, space),
    }


def _decision_fields(decision: Decision, space: ActionSpace | None) -> dict[str, Any]:
    chances = enumerate(decision.probabilities)
    return {
        "probabilities": {action_name(index, space): chance for index, chance in chances},
        "most_probable": action_json(decision.most_probable, space),
        "value": decision.value,
    }
