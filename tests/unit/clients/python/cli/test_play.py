"""The command line and the gymnasium runner against the stand-in server of support/stand_in.py."""

import json
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

import grpc
import numpy as np
import pytest
from shelm import Client
from shelm.cli import main
from shelm.cli.play import GROUP
from shelm.gym import minigrid_env
from support.process import REPOSITORY
from support.stand_in import MINIGRID, Failure, StandIn, serving


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn(actions=MINIGRID)


@pytest.fixture
def target(stand_in: StandIn) -> Iterator[str]:
    with serving(stand_in) as target:
        yield target


def test_the_last_line_of_play_is_the_summary(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "--env", "MiniGrid-MemoryS7-v0", "--episodes", "1", "--target", target]) == 0
    lines = capsys.readouterr().out.splitlines()
    summary = json.loads(lines[-1])
    speed = summary.pop("acts_per_second")
    assert speed > 0
    steps = summary["steps"]
    assert summary == {
        "env": "MiniGrid-MemoryS7-v0",
        "episodes": 1,
        "mean_return": 0.0,
        "steps": steps,
        "replayed": 0,
        "distinct_words": 4,
    }
    assert lines[1] == "   0  doorway (0.93)  -> forward"
    assert len(lines) == steps + 3


def test_the_environment_is_the_agents_own_if_none_is_named(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "--episodes", "1", "--quiet", "--target", target]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["env"] == "MiniGrid-MemoryS7-v0"
    assert printed.err == ""


def test_an_environment_that_the_agent_was_not_trained_for_is_warned_of_once(
    target: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.environments = ["MiniGrid-Empty-5x5-v0", "mine:Own-v0"]
    assert main(["play", "--env", "MiniGrid-MemoryS7-v0", "--episodes", "2", "--quiet", "--target", target]) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("was trained for MiniGrid-Empty-5x5-v0, mine:Own-v0, not for MiniGrid-MemoryS7-v0")


def test_an_agent_that_names_no_environment_needs_one(
    target: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.environments = []
    assert main(["play", "--episodes", "1", "--target", target]) == 1
    assert "give --env" in capsys.readouterr().err
    assert main(["play", "--env", "MiniGrid-MemoryS7-v0", "--episodes", "1", "--quiet", "--target", target]) == 0
    assert capsys.readouterr().err == ""


def test_installed_packages_make_the_environments_whose_ids_begin_as_they_say(
    target: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.environments = ["own/MiniGrid-MemoryS7-v0"]
    point = EntryPoint("own/", f"{__name__}:made", GROUP)
    monkeypatch.setattr("shelm.cli.play._makers", lambda: [point])
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda env_id: minigrid_env(env_id.removeprefix(self.name)))
    assert main(["play", "--episodes", "1", "--quiet", "--target", target]) == 0
    assert json.loads(capsys.readouterr().out)["env"] == "own/MiniGrid-MemoryS7-v0"


def test_the_project_makes_the_environments_of_its_own_agents() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    for manifest in (json.loads(path.read_text()) for path in (REPOSITORY / "models").glob("*/agent.json")):
        for env_id in manifest["environments"]:
            assert env_id.startswith(("MiniGrid-", *declared)), env_id
    for module, function in (value.split(":") for value in declared.values()):  # not imported: that takes torch
        found = find_spec(module)
        assert found is not None
        assert f"\ndef {function}(env_id: str)" in Path(str(found.origin)).read_text()


def test_an_environment_of_a_module_in_the_current_folder_is_found(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here_alone.py").write_text("raise ValueError('it is imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["play", "--env", "here_alone:Own-v0", "--target", target]) == 1
    assert "it is imported" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "extra"), [("--json", True), ("--quiet", False)])
def test_play_can_be_read_by_programs(target: str, capsys: pytest.CaptureFixture[str], option: str, *, extra: bool) -> None:
    assert main(["play", "--env", "MiniGrid-MemoryS7-v0", "--episodes", "1", option, "--target", target]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == (lines[-1]["steps"] + 1 if extra else 1)


def test_memory_prints_words_and_follows_to_the_end(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Client(target) as client:
        client.act(np.zeros((4, 5, 3), np.uint8), "a")
        client.act(np.ones((4, 5, 3), np.uint8), "a")
    assert main(["memory", "a", "--from", "1", "--target", target]) == 0
    assert capsys.readouterr().out == "*    1  corridor (0.93)  -> forward\n"
    assert main(["memory", "a", "--follow", "--target", target]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_memory_stays_readable_when_its_agent_is_served_no_more(
    target: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(target) as client:
        client.act(np.zeros((4, 5, 3), np.uint8), "a")
    stand_in.before["GetAgent"].append(Failure(grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND"))
    assert main(["memory", "a", "--target", target]) == 0
    assert capsys.readouterr().out == "*    0  doorway (0.93)  -> 2\n"


def test_agents_and_ping_print_what_serves(
    target: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELM_TARGET", target)
    assert (main(["agents"]), main(["ping"])) == (0, 0)
    out = capsys.readouterr().out
    assert "* stand-in  abc  56x56x3  7 actions" in out
    assert f"{target} serves" in out


def test_a_server_that_is_away_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agents", "--target", "127.0.0.1:1"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("shelm: no answer from 127.0.0.1:1")
    assert "check that the server runs" in captured.err
    assert (captured.err.count("\n"), captured.out) == (1, "")


def test_an_unknown_environment_or_episode_is_one_clear_line(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "--env", "MiniGrid-Nowhere-v0", "--target", target]) == 1
    assert "cannot make MiniGrid-Nowhere-v0" in capsys.readouterr().err
    assert main(["memory", "nobody", "--target", target]) == 1
    assert capsys.readouterr().err.startswith("shelm: no episode nobody [EPISODE_NOT_FOUND]")


@pytest.mark.parametrize("wrong", [["play", "--episodes", "0"], ["play", "--seed", "-1"], ["agents", "--timeout", "0"], []])
def test_wrong_usage_exits_with_two(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(wrong)
    assert caught.value.code == 2
