"""Evaluations beside other measurements of a page."""

import json

from training.report import evaluations


def test_evaluations_are_told_apart_and_what_ended_badly_is_counted() -> None:
    rows = [{"return": value} for value in (1.0, -1.0, 0.0, -0.5)]
    agent = {"agent": "reader", "episodes": 4, "mean_return": -0.125, "interval": [-0.9, 0.6], "rows": rows}
    agent |= {"solved": 0.25, "solved_interval": [0.05, 0.7]}
    text = json.dumps({"env": "Sign", "deterministic": True, "edit": "swapped", "agents": [agent]})
    own, others = evaluations.apart({"evaluations/sign.json": text, "played.json": "{}"})
    assert list(others) == ["played.json"]
    last = evaluations.table(own).splitlines()[-1]
    assert last == "| reader | Sign | greedy | swapped | 4 | -0.12 [-0.90, 0.60] | 0.25 [0.05, 0.70] | 2 |"
