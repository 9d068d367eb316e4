"""The command line and the gymnasium runner against the stand-in server of test_client_stand_in.py."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from shelm import Client
from shelm.cli import main
from shelm.gym import Transition, minigrid_env, play
from test_client_stand_in import Failure, StandIn, serving


class ThreeSteps:
    """A stand-in environment: three steps, reward 1.0 at the last; observes a mapping, as MiniGrid does."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def reset(self, *, seed: int) -> tuple[Any, dict[str, Any]]:
        self.seeds.append(seed)
        self.step_number = 0
        return self._observation(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.step_number += 1
        done = self.step_number == 3
        return self._observation(), float(done), done, False, {}

    def _observation(self) -> dict[str, Any]:
        return {"image": np.full((56, 56, 3), self.step_number, np.uint8), "mission": "go"}


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def target(stand_in: StandIn) -> Iterator[str]:
    with serving(stand_in) as target:
        yield target


def test_play_counts_returns_steps_and_words_and_ends_every_episode(target: str, stand_in: StandIn) -> None:
    env, seen = ThreeSteps(), list[Transition]()
    with Client(target) as client:
        summary = play(client, env, episodes=2, seed=7, on_step=seen.append, deterministic=True)
    assert (summary.returns, summary.lengths, summary.steps, summary.replayed) == ([1.0, 1.0], [3, 3], 6, 0)
    assert (env.seeds, [request.seed for request in stand_in.requests["CreateEpisode"]]) == ([7, 8], [7, 8])
    assert summary.words == {"doorway", "corridor", "wall"}
    assert [(step.episode, step.act.step, step.terminated) for step in seen][2:4] == [(0, 2, True), (1, 0, False)]
    assert len(stand_in.ended) == 2


def test_a_minigrid_environment_observes_its_partial_view() -> None:
    observation, _ = minigrid_env("MiniGrid-Empty-5x5-v0", max_steps=3).reset(seed=0)
    assert (observation.shape, observation.dtype) == ((56, 56, 3), np.uint8)


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
    assert "* stand-in  abc  56x56x3  3 actions" in out
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
