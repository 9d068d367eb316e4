"""The commands that look at a server (episodes, explain, frames, bench, ping), and terminals, against the stand-in."""

import builtins
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image
from shelm import Client
from shelm.cli import main
from shelm.cli.parser import EXAMPLES, parser
from shelm.v1 import agent_pb2
from shelm.version import __version__
from support.stand_in import MINIGRID, Failure, StandIn, frame, serving

STAGES = ["seen", "total", "decode", "retrieval", "memory", "policy", "commit"]


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def target(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(stand_in) as target:
        monkeypatch.setenv("SHELM_TARGET", target)
        yield target


@pytest.fixture
def episode(target: str) -> str:
    """An episode of four steps that has ended with a total reward."""
    with Client(target) as client:
        for number in range(4):
            client.act(frame(number), "a")
        client.end_episode("a", total_reward=0.5)
        client.act(frame(0), "b")
    return "a"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints that succeeds."""
    assert main(arguments) == 0
    return capsys.readouterr().out


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_episodes_lists_agent_steps_state_and_reward(episode: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(capsys, "episodes").splitlines()
    assert printed[0].split() == ["episode", "agent", "steps", "state", "reward", "age"]
    assert {tuple(line.split()) for line in printed[1:]} == {
        ("a", "stand-in", "4", "ended", "0.500"),
        ("b", "stand-in", "1", "running"),
    }
    told = {
        one["episode_id"]: (one["steps"], one["ended"], one["total_reward"])
        for one in lines(run(capsys, "episodes", "--json"))
    }
    assert told == {"a": (4, True, 0.5), "b": (1, False, None)}
    assert len(run(capsys, "episodes", "--limit", "1").splitlines()) == 2
    assert run(capsys, "episodes", "--agent", "other", "--json") == ""


def test_options_narrow_a_list(episode: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in.requests["ListEpisodes"].clear()
    run(capsys, "episodes")
    run(capsys, "episodes", "--archived", "--failed", "--since", "2026-05-01", "--until", "12h", "--name", "run")
    plain, sent = stand_in.requests["ListEpisodes"]
    assert not plain.HasField("filter")  # what an earlier server answers as well
    assert sent.archived
    assert (sent.filter.outcome, sent.filter.name_prefix) == (agent_pb2.EPISODE_OUTCOME_FAILED, "run")
    assert sent.filter.created.since.ToDatetime().date() in (
        date(2026, 4, 30),
        date(2026, 5, 1),
    )  # as this machine's zone is
    assert abs(sent.filter.created.until.seconds - time.time() + 12 * 3600) < 60
    run(capsys, "episodes", "--running", "--reward-least", "0.5", "--reward-most", "1")
    sent = stand_in.requests["ListEpisodes"][-1]
    assert (sent.filter.state, sent.filter.reward.least) == (agent_pb2.EPISODE_STATE_RUNNING, 0.5)


@pytest.mark.parametrize("wrong", [["--since", "yesterday"], ["--running", "--ended"], ["--success-above", "much"]])
def test_options_that_cannot_be_meant_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["episodes", *wrong])
    assert end.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_search_prints_where_each_word_was_seen(episode: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(capsys, "search", "a ball@-4", "door@5", "--not", "key@2-", "--succeeded").splitlines()
    assert printed[0].split() == ["episode", "agent", "steps", "state", "reward", "age", "seen", "at"]
    assert printed[1].endswith("a ball 3, door 3")
    sent = stand_in.requests["SearchEpisodes"][0]
    assert [(one.word, one.first_step, one.last_step) for one in sent.saw] == [("a ball", 0, 4), ("door", 5, 5)]
    assert [(one.word, one.first_step, one.HasField("last_step")) for one in sent.not_saw] == [("key", 2, False)]
    assert sent.filter.outcome == agent_pb2.EPISODE_OUTCOME_SUCCEEDED
    told = lines(run(capsys, "search", "a@b", "--json", "--limit", "1"))
    assert [(one["episode_id"], one["seen"]) for one in told] == [("a", {"a@b": 3})]


def test_search_compares_success_with_failure(episode: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(capsys, "search", "--compare").splitlines()
    assert printed[0] == "4 succeeded, 0 failed; some were not counted"
    assert printed[2].split("  ")[0] == "a ball"
    assert "75.0% [25.0%, 87.5%] (3)" in printed[2]
    assert printed[5].startswith("a ball -> a key")
    told = json.loads(run(capsys, "search", "--compare", "--json"))
    assert told["words"][0]["of_succeeded"] == {"count": 3, "total": 4, "low": 0.25, "high": 0.875}


def test_memory_as_json_has_a_line_for_each_step(episode: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = lines(run(capsys, "memory", episode, "--json"))
    assert [one["step"] for one in told] == [0, 1, 2, 3]
    assert set(told[0]) == {"step", "words", "action", "value", "in_window", "time"}
    assert (told[0]["words"], told[0]["action"]) == ([["doorway", 0.93]], "forward")


def test_explain_prints_a_bar_for_each_word_and_what_would_have_been_done(
    episode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run(capsys, "explain", episode, "2").splitlines()
    assert printed[:2] == ["step 2  -> forward", "with the whole memory: forward 0.90, right 0.10; value 0.500"]
    assert printed[4].split() == ["without", "the", "word", "change", "then", "of", "steps"]
    word, change, bar, *then = printed[5].split()
    assert (word, change, set(bar), len(bar), then) == ("doorway", "0.500", {"█"}, 10, ["->", "left", "0"])
    assert len(run(capsys, "explain", episode, "3", "--top", "1").splitlines()) == 9
    told = json.loads(run(capsys, "explain", episode, "2", "--json"))
    assert list(told) == ["episode_id", "step", "action", "decision", "reach_from_step", "words", "steps"]
    assert told["words"][0]["without"]["probabilities"] == {"left": 0.75, "right": 0.0, "forward": 0.25}


def test_explain_sends_the_frame_of_a_file(
    episode: str, stand_in: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(frame(2)).save(tmp_path / "frame.png")
    run(capsys, "explain", episode, "2", "--frame", str(tmp_path / "frame.png"))
    assert stand_in.requests["ExplainStep"][0].observation.data == frame(2).tobytes()
    assert main(["explain", episode, "2", "--frame", str(tmp_path / "nothing.png")]) == 1
    assert "expected a PNG file" in capsys.readouterr().err


def test_explain_says_how_to_give_a_frame_that_was_not_recorded(
    episode: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.before["ExplainStep"].append(Failure(grpc.StatusCode.FAILED_PRECONDITION, "FRAME_NEEDED"))
    assert main(["explain", episode, "2"]) == 1
    assert "--frame FILE.png" in capsys.readouterr().err


def test_whatif_prints_a_row_for_the_memory_as_it_is_and_for_each_alternative(
    episode: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run(capsys, "whatif", episode, "2", "--swap", "doorway", "wall", "--remove", "1:").splitlines()
    assert printed[0] == "step 2  -> forward"
    header, actual, other = (line.split() for line in printed[3:6])
    assert header == ["memory", "change", "most", "probable", "value", "entropy", "distribution"]
    assert actual == ["as", "it", "is", "->", "forward", "0.500", "0.500", "forward", "0.88,", "right", "0.12"]
    assert other == f"swap doorway wall, remove 1: 0.750 {'█' * 15} -> left 0.500 0.500 left 0.75, forward 0.25".split()
    assert printed[7] == "swap doorway wall, remove 1:"
    assert printed[9].split() == ["0", "doorway", "doorway"]
    (alternative,) = stand_in.requests["WhatIf"][0].alternatives
    assert [one.WhichOneof("kind") for one in alternative.edits] == ["swap", "remove"]
    assert not run(capsys, "whatif", episode, "2").splitlines()[5:]


def test_branch_names_what_it_made_and_from_where(
    episode: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(capsys, "branch", episode, "2", "other", "--swap", "doorway", "wall")
    assert said == f"other goes on from step 2 of {episode}: swap doorway wall\n"
    told = json.loads(run(capsys, "branch", episode, "2", "another", "--json"))
    assert told["branch"] == {"source": episode, "step": 2, "edits": []}
    assert [one.source_episode_id for one in stand_in.requests["BranchEpisode"]] == [episode] * 2


def test_whatif_as_json_and_each_edit_alone(episode: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["--insert", "1:a:b", "--replace", "x=y", "--replace", "2:x=y=z", "--remove", "x"]
    told = json.loads(run(capsys, "whatif", episode, "2", *typed, "--each", "--agent", "stand-in", "--json"))
    assert list(told) == ["episode_id", "step", "action", "reach_from_step", "actual", "alternatives"]
    assert [one["edits"] for one in told["alternatives"]] == [
        ["insert 1:a:b"],
        ["replace x=y"],
        ["replace 2:x=y=z"],
        ["remove x"],
    ]
    first = told["alternatives"][0]
    assert (first["agent"], first["change"], first["most_probable"]) == ("stand-in", 0.75, "left")
    assert first["distribution"] == {"entropy": 0.5, "probabilities": {"left": 0.75, "right": 0.0, "forward": 0.25}}
    assert first["words"] == [[0, [["doorway", 0.93]]]]
    assert told["actual"]["change"] is None
    sent = stand_in.requests["WhatIf"][0].alternatives
    assert (sent[2].edits[0].replace.replacement, sent[0].edits[0].insert.word) == ("y=z", "a:b")
    assert not sent[3].edits[0].remove.HasField("step")


def test_frames_are_saved_as_files(episode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = lines(run(capsys, "frames", episode, "--out", str(tmp_path / "frames"), "--json"))
    assert [one["step"] for one in told] == [0, 1, 2, 3]
    assert np.array_equal(np.asarray(Image.open(told[3]["file"])), frame(3))


def test_bench_stops_by_itself_and_ends_its_episodes(
    target: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    told = json.loads(run(capsys, "bench", "--episodes", "3", "--seconds", "1", "--json"))
    assert list(told) == ["episodes", "seconds", "acts", "acts_per_second", "replayed", "stages"]
    assert told["acts"] == sum(map(len, stand_in.committed.values())) > 3
    assert (len(stand_in.committed), len(stand_in.ended)) == (3, 3)
    assert list(told["stages"]) == STAGES
    assert told["stages"]["total"] == {"p50_ms": 0.1, "p99_ms": 0.1}
    assert 0 < told["stages"]["seen"]["p50_ms"] <= told["stages"]["seen"]["p99_ms"]
    printed = run(capsys, "bench", "--episodes", "1", "--seconds", "1")
    assert re.match(r"1 episodes, \d+ acts in 1\.\d s: [\d.]+ acts/s, 0 replayed\n +p50 +p99\n", printed)


def test_bench_ends_with_the_first_error_for_good(
    target: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.before["Act"].extend([None] * 5 + [Failure(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")])
    assert main(["bench", "--episodes", "3", "--seconds", "600"]) == 1
    assert "use a token that has this right" in capsys.readouterr().err
    assert len(stand_in.ended) == 3


def test_ping_acts_only_if_it_is_told_to(target: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(json.loads(run(capsys, "ping", "--json"))) == ["target", "serving", "connect_ms", "round_trip_ms"]
    assert not stand_in.requests
    told = json.loads(run(capsys, "ping", "--act", "--json"))
    assert set(told["act"]) == {
        f"{name}_ms" for name in ("seen", "total", "decode", "retrieval", "memory", "policy", "commit")
    }
    assert stand_in.ended == set(stand_in.committed)
    assert "commit in Redis" in run(capsys, "ping", "--act")


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        (Failure(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"), "--token or SHELM_TOKEN"),
        (Failure(grpc.StatusCode.NOT_FOUND, "EPISODE_NOT_FOUND"), "`shelm episodes` lists those there are"),
    ],
)
def test_an_error_says_what_to_do_in_one_line(
    target: str, stand_in: StandIn, capsys: pytest.CaptureFixture[str], failure: Failure, advice: str
) -> None:
    stand_in.before["GetEpisode"].append(failure)
    assert main(["memory", "a"]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n"), advice in printed.err) == ("", 1, True)


def test_agents_as_json_has_the_action_space(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    (told,) = lines(run(capsys, "agents", "--json"))
    assert (told["name"], told["default"], told["observation_shape"]) == ("stand-in", True, [56, 56, 3])
    assert told["action_space"] == {"n": 3, "names": ["left", "right", "forward"]}


@pytest.mark.parametrize(
    "wrong",
    [
        ["bench", "--episodes", "257"],
        ["bench", "--seconds", "601"],
        ["explain", "a"],
        ["explain", "a", "-1"],
        ["whatif", "a", "1", "--swap", "key"],
        ["whatif", "a", "1", "--swap", "key", ""],
        ["whatif", "a", "1", "--remove", ""],
        ["whatif", "a", "1", "--replace", "key"],
        ["whatif", "a", "1", "--replace", "3:=key"],
        ["whatif", "a", "1", "--insert", "key"],
        ["whatif", "a", "1", "--insert", "3:"],
        ["frames", "a"],
    ],
)
def test_wrong_usage_exits_with_two(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(wrong)
    assert caught.value.code == 2


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What `shelm` prints on a real terminal, 120 columns wide."""
    master, slave = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", **environment}
    command = [sys.executable, "-m", "shelm.cli", *arguments]
    with subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=variables) as child:
        os.close(slave)
        printed = b""
        try:
            while chunk := os.read(master, 65536):
                printed += chunk
        except OSError:  # how Linux says that the other side is closed
            pass
        child.wait(60)
    os.close(master)
    assert child.returncode == 0, printed
    return printed.decode()


def test_a_terminal_shows_colours_and_the_same_words(episode: str) -> None:
    shown = on_a_terminal("memory", episode)
    assert "\x1b[" in shown
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert re.search(r"0  doorway +0\.93  -> forward +value", plain)
    assert "doorway" in on_a_terminal("explain", episode, "2")


def test_a_terminal_shows_how_far_an_evaluation_is(target: str, stand_in: StandIn) -> None:
    stand_in.shape, stand_in.actions = (56, 56), MINIGRID
    shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", on_a_terminal("evaluate", "--episodes", "3", "--envs", "1"))
    assert "episodes" in shown
    assert re.search(r"[0-3]/3", shown)
    assert re.search(r"agent +episodes +starts +return \[95 %\] +solved", shown)


def test_without_rich_a_terminal_shows_plain_lines(episode: str, tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ImportError('as if it were not installed')")
    shown = on_a_terminal("memory", episode, PYTHONPATH=str(tmp_path))
    assert shown.splitlines()[0] == "*    0  doorway (0.93)  -> forward"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"shelm {__version__}\n"


@pytest.mark.parametrize("command", sorted(EXAMPLES))
def test_the_examples_of_the_help_are_commands(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"] if command == "shelm" else [command, "--help"])
    shown = capsys.readouterr().out.partition("examples:")[2]
    examples = [re.split(r"\s{3,}", line.strip())[0] for line in shown.splitlines() if line.startswith("  shelm ")]
    assert examples
    for example in examples:
        assert parser().parse_args(shlex.split(example)[1:]).command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--print-completion", shell])
    assert caught.value.code == 0
    assert "shelm" in capsys.readouterr().out


def test_without_argcomplete_the_completion_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **named: Any) -> Any:
        if name.startswith("argcomplete"):
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(SystemExit) as caught:
        main(["--print-completion", "bash"])
    assert caught.value.code == 1
    assert 'pip install "shelm-client[cli]"' in capsys.readouterr().err


def completions(line: str, target: str, folder: Path) -> set[str]:
    """What a shell is offered at the end of the line, over argcomplete's own protocol."""
    answer = folder / "completions"
    variables = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "SHELM_TARGET": target,
    }
    command = [sys.executable, "-c", "import sys; sys.argv = ['shelm']; from shelm.cli import main; main()"]
    subprocess.run(command, env=variables, timeout=60, check=True)
    return {word.strip() for word in answer.read_text().splitlines()}


def test_a_shell_is_offered_commands_and_the_names_of_episodes(episode: str, target: str, tmp_path: Path) -> None:
    assert completions("shelm ep", target, tmp_path) == {"episodes"}
    assert {"a", "b"} <= completions("shelm memory ", target, tmp_path)
    assert completions("shelm memory b", target, tmp_path) == {"b"}
    assert completions("shelm memory @", target, tmp_path) == {"@last"}
    assert completions("shelm play --agent s", target, tmp_path) == {"stand-in"}
    assert completions("shelm memory b", "127.0.0.1:1", tmp_path) == set()  # nobody answers: nothing to choose from
