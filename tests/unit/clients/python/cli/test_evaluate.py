"""`shelm evaluate` against the stand-in server: the table, the file, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from shelm.cli import main
from shelm.gym.evaluation import without_rows
from support.stand_in import MINIGRID, StandIn, serving


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn(actions=MINIGRID)


@pytest.fixture
def target(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(stand_in) as target:
        monkeypatch.setenv("SHELM_TARGET", target)
        yield target


def test_the_table_shows_what_the_file_holds(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "evaluation.json"
    assert main(["evaluate", "--episodes", "3", "--envs", "2", "--seed", "7", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0].split("  ")[0] == "agent"
    assert printed.out.splitlines()[1].startswith("stand-in  3")
    assert printed.err == ""
    told = json.loads(out.read_text())
    assert (told["env"], told["deterministic"], told["starts_by"]) == ("MiniGrid-MemoryS7-v0", False, "state")
    assert [row["seed"] for row in told["agents"][0]["rows"]] == [7, 8, 9]
    assert main(["evaluate", "--episodes", "3", "--seed", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == without_rows(told)


def test_every_distinct_start_is_played_once_and_greedily(target: str, stand_in: StandIn, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    assert main(["evaluate", "--starts", "distinct", "--greedy", "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == len({row["start"] for row in rows}) == 16
    begun = stand_in.requests["CreateEpisode"]
    assert all(request.deterministic for request in begun)
    assert {request.agent for request in begun} == {rows[0]["digest"]}, "whatever agent is the default by then"


def test_where_the_state_cannot_be_told_it_says_so(
    target: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minigrid.minigrid_env.MiniGridEnv.hash", property())  # raises AttributeError
    assert main(["evaluate", "--episodes", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["starts_by"] == "seed"
    assert main(["evaluate", "--episodes", "2"]) == 0
    assert "each seed counts as a start of its own" in capsys.readouterr().err
    assert main(["evaluate", "--starts", "distinct"]) == 1
    assert "expected an environment of MiniGrid" in capsys.readouterr().err


def test_an_agent_is_not_compared_with_itself(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--agent", "stand", "--agent", "stand-in"]) == 1
    assert "--agent: expected different agents" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--out", "x.parquet"], ["--envs", "0"], ["--greedy", "--sampled"]])
def test_what_makes_no_sense_is_refused_by_its_option(
    target: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *options])
    assert end.value.code == 2
    assert options[-2 if len(options[0]) < 7 else -1].lstrip("-") in capsys.readouterr().err
