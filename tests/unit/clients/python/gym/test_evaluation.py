"""The content of an evaluation's file, worked out by hand, and its two forms."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from shelm.gym.evaluation import Played, content, out_file, tables, without_rows, write
from shelm.gym.intervals import wilson

STARTS = "aabbc"


def played(*returns: float, starts: str = STARTS) -> list[Played]:
    return [Played(seed, start, total, 10 + seed) for seed, (start, total) in enumerate(zip(starts, returns, strict=True))]


def of_two() -> dict[str, Any]:
    first, other = played(0, 0, 1, 1, 0), played(1, 1, 1, 1, 0)
    return content("Env-v0", [({"agent": "one", "digest": "d1"}, first), ({"agent": "two"}, other)], deterministic=True)


def test_an_agents_figures_count_its_starts() -> None:
    one = of_two()["agents"][0]
    assert (one["agent"], one["digest"], one["episodes"], one["starts"]) == ("one", "d1", 5, 3)
    assert (one["mean_return"], one["standard_error"]) == (0.4, 0.366606)
    assert one["interval"] == pytest.approx([0.4 - 4.302653 * 0.366606, 0.4 + 4.302653 * 0.366606], abs=1e-5)
    assert (one["solved"], one["solved_interval"]) == (0.4, pytest.approx(wilson(0.4, 3), abs=1e-6))
    assert one["rows"][2] == {"seed": 2, "start": "b", "return": 1, "length": 12, "solved": True}
    assert one["rows"][4] == {"seed": 4, "start": "c", "return": 0, "length": 14, "solved": False}


def test_further_agents_are_compared_with_the_first_episode_by_episode() -> None:
    [difference] = of_two()["differences"]
    assert (difference["agent"], difference["against"], difference["difference"]) == ("two", "one", 0.4)
    # Differences 1 1 0 0 0: residuals by start 1.2, -0.8, -0.4, as above. Unpaired the error would be larger.
    assert difference["standard_error"] == 0.366606
    same = content("Env-v0", [({"agent": name}, played(0, 0, 1, 1, 0)) for name in "ab"], deterministic=True)
    assert same["differences"][0]["interval"] == [0, 0]


def test_it_says_whether_starts_are_states_or_seeds() -> None:
    assert of_two()["starts_by"] == "state"
    seeds = [Played(seed, f"seed {seed}", 1.0, 1) for seed in range(3)]
    told = content("Env-v0", [({"agent": "one"}, seeds)], deterministic=False, edit={"edit": "swapped", "words": ["a", "b"]})
    assert (told["starts_by"], told["agents"][0]["starts"]) == ("seed", 3)
    assert (told["deterministic"], told["edit"], told["words"], told["differences"]) == (False, "swapped", ["a", "b"], [])


def test_a_file_holds_everything_or_a_line_for_each_episode(tmp_path: Path) -> None:
    result = of_two()
    write(result, tmp_path / "new" / "whole.json")
    assert json.loads((tmp_path / "new" / "whole.json").read_text()) == result
    write(result, tmp_path / "rows.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert len(lines) == 10
    assert lines[0] == {"agent": "one", "digest": "d1", "seed": 0, "start": "a", "return": 0, "length": 10, "solved": False}
    assert [line["agent"] for line in lines] == ["one"] * 5 + ["two"] * 5


@pytest.mark.parametrize("name", ["rows.parquet", "rows"])
def test_another_ending_is_refused_before_anything_is_played(name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"ends in \.json or \.jsonl, given rows"):
        out_file(name)


def test_the_tables_show_intervals_where_there_are_some() -> None:
    (head, rows), (_, differences) = tables(of_two())
    assert head[-2:] == ("return [95 %]", "solved [95 %]")
    low, high = wilson(0.4, 3)
    assert rows[0][:3] == ["one", "5", "3"]
    assert rows[0][4] == f"0.400 [{low:.3f}, {high:.3f}]"
    assert differences[0] == ["two", "one", "0.400 [-1.177, 1.977]"]
    alone = content("Env-v0", [({"agent": "one"}, played(1, starts="a"))], deterministic=True)
    assert len(tables(alone)) == 1
    assert tables(alone)[0][1][0][3] == "1.000"


def test_without_rows_the_rest_is_the_same() -> None:
    result = of_two()
    short = without_rows(result)
    assert all("rows" not in agent for agent in short["agents"])
    assert {**short, "agents": []} == {**result, "agents": []}
