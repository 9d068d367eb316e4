"""The tables of robustness, from figures that are worked out by hand."""

import json
from typing import Any

from training.report.robustness import AGENTS, POINTS, generated

S7 = "MiniGrid-MemoryS7-v0"


def cell(name: str, view: str, mean: float) -> dict[str, Any]:
    return {
        "perturbation": name,
        "view": view,
        "mean_return": mean,
        "solved": mean,
        "interval": [mean - 0.125, mean + 0.125],
    }


def measured(*cells: dict[str, Any]) -> str:
    return json.dumps({"agent": "someone", "env": S7, "starts": [0, 1, 2], "cells": cells})


def words(*rows: tuple[int, str, int, float, int, float]) -> str:
    keys = ("bundle", "env", "one_kind", "right", "frames", "same")
    return json.dumps({"rows": [dict(zip(keys, row, strict=True)) | {"perturbation": "grey"} for row in rows]})


def test_agents_stand_side_by_side_and_what_was_not_measured_is_a_dash() -> None:
    text = generated(
        {
            "before-S7.json": measured(cell("clean", "memory", 1), cell("grey", "memory", 0.25), cell("grey", "both", 0.5)),
            "kept-S7.json": measured(cell("grey", "memory", 0.75)),
        }
    )
    assert f"## someone in {S7}: 3 distinct starts" in text
    assert f"return: {AGENTS['before']} | solved: {AGENTS['before']} | return: {AGENTS['kept']}" in text
    assert "| clean | 1.000 | 1.000 [0.88, 1.12] | - | - |" in text
    assert "| grey | 0.250 | 0.250 [0.12, 0.38] | 0.750 | 0.750 [0.62, 0.88] |" in text
    assert "| grey | 0.500 | 0.500 [0.38, 0.62] |" in text
    assert "Words" not in text
    assert "Filters" not in text


def test_an_agent_that_none_has_replaced_is_called_shipped_and_seeds_are_not_called_starts() -> None:
    one = json.loads(measured(cell("clean", "memory", 1))) | {"distinct": False}
    text = generated({"before-S7.json": json.dumps(one)})
    assert f"## someone in {S7}: 3 seeds" in text
    assert "return: shipped | solved: shipped |" in text


def test_what_was_drawn_more_often_has_a_table_of_its_own() -> None:
    one = json.loads(measured(cell("noise 16", "both", 0.5))) | {"draws": 16}
    assert f"| someone | {S7} | 3 | 16 | noise 16 | both | 0.500 | 0.500 [0.38, 0.62] |" in generated(
        {"draws-someone.json": json.dumps(one)}
    )


def test_points_have_an_interval_over_starts_and_no_share_solved() -> None:
    clean = cell("clean", "memory", 57) | {"returns": [[56.0, 57.0], [57.0, 58.0]]}
    text = generated({"before-R.json": json.dumps(json.loads(measured(clean)) | {"env": POINTS[0]})})
    assert "| perturbation | points [95 %]: shipped |" in text
    assert "| clean | 57.0 [50.6, 63.4] |" in text


def test_shares_of_words_count_frames_and_not_environments() -> None:
    text = generated(
        {"after-words.json": words((0, "a", 1, 1.0, 1, 1.0), (0, "b", 3, 0.0, 1, 0.0), (1, "a", 1, 1.0, 4, 0.5))}
    )
    assert "| grey | 25.0 % | 50.0 % | 100.0 % | 50.0 % |" in text
    assert "2 environments" in text


def test_filters_have_a_column_each() -> None:
    rows = [{"perturbation": "grey", "filter": name, "same": same} for name, same in (("none", 1), ("median", 0.5))]
    assert "| perturbation | none | median |" in generated({"filters.json": json.dumps({"rows": rows})})
    assert "| grey | 100.0 % | 50.0 % |" in generated({"filters.json": json.dumps({"rows": rows})})
