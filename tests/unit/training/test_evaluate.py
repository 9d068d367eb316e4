"""The command that evaluates: its agents, what is done to their memory, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from training import evaluate

BUNDLE = Path(__file__).parents[3] / "models" / "minigrid-memory"
S11 = "MiniGrid-MemoryS11-v0"


def test_the_device_reaches_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class StopError(Exception):
        pass

    def agent(*_: Any, device: str, **__: Any) -> Any:
        seen.append(device)
        raise StopError

    monkeypatch.setattr(evaluate, "load_agent", agent)
    (tmp_path / "run.json").write_text(json.dumps({"method": "shelm"}))
    command = ["--run", str(tmp_path), "--env", S11, "--out", str(tmp_path / "out.json")]
    for options in ([], ["--device", "cuda:1"]):
        with pytest.raises(StopError):
            evaluate.main([*command, *options])
    assert seen == ["cpu", "cuda:1"]


def rows(out: Path, *options: str) -> list[dict[str, Any]]:
    """The episodes of the shipped agent from the first eight starts of MemoryS11, greedily."""
    common = ["--bundle", str(BUNDLE), "--env", S11, "--starts", "distinct", "--episodes", "8", "--greedy"]
    evaluate.main([*common, "--out", str(out), *options])
    found: list[dict[str, Any]] = json.loads(out.read_text())["agents"][0]["rows"]
    return found


@pytest.mark.slow
def test_swapped_words_mislead_only_while_they_are_swapped(tmp_path: Path) -> None:
    whole = rows(tmp_path / "whole.json")
    assert all(row["solved"] for row in whole)
    assert rows(tmp_path / "out.json", "--edit", "swapped", "--before", "0") == whole
    early = rows(tmp_path / "out.json", "--edit", "swapped", "--before", "3")
    assert 0 < sum(row["solved"] for row in early) < 8
    assert rows(tmp_path / "out.json", "--edit", "swapped", "--words", "table", "chair") == whole, "words that it never sees"


@pytest.mark.slow
def test_neutral_words_in_place_of_both_leave_the_agent_to_guess(tmp_path: Path) -> None:
    found = rows(tmp_path / "out.json", "--edit", "neutral", "--before", "5")
    assert 0 < sum(row["solved"] for row in found) < 8
    told = json.loads((tmp_path / "out.json").read_text())
    settings = {"edit": "neutral", "words": ["key", "ball"], "neutral": "floor", "before": 5}
    assert {name: told[name] for name in settings} == settings
    assert found == rows(tmp_path / "out.json", "--edit", "neutral", "--before", "5", "--words", "ball", "key")
    assert found != rows(tmp_path / "out.json", "--edit", "swapped", "--before", "5")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--bundle", str(BUNDLE), "--edit", "swapped", "--words", "key", "qqq"], "got 'qqq'"),
        (["--bundle", str(BUNDLE), "--env", "CartPole-v1"], "CartPole-v1"),
    ],
)
def test_what_cannot_be_evaluated_ends_with_its_name(tmp_path: Path, options: list[str], named: str) -> None:
    with pytest.raises(SystemExit, match=named):
        evaluate.main(["--env", S11, "--out", str(tmp_path / "out.json"), *options])


def test_an_agent_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        evaluate.main(["--env", S11, "--out", str(tmp_path / "out.json")])
    assert "--run, --bundle: expected one or more" in capsys.readouterr().err
