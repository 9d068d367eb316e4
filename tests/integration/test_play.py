"""The command line against the real services: every command, as a process of its own."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from shelm import Client
from shelm.results import EpisodeInfo
from support.deployment import Deployment
from support.frames import Frame
from support.gateway import Gateway, lines, play
from support.process import environment_with
from support.waiting import wait_for

from deploy.local.stack import free_port

SECONDS = 180.0
KEYS = ["env", "episodes", "mean_return", "steps", "acts_per_second", "replayed", "distinct_words"]


def command(target: str, *arguments: str) -> list[str]:
    """A command line of `shelm`."""
    return [sys.executable, "-m", "shelm.cli", *arguments, "--target", target]


def shelm(target: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs `shelm` to its end."""
    return subprocess.run(
        command(target, *arguments),
        env=environment_with({}),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_play_prints_every_step_and_ends_with_the_summary(deployment: Deployment) -> None:
    before = {one.episode_id for one in all_episodes(deployment.gateway)}
    done = shelm(deployment.target, "play", "--env", "MiniGrid-MemoryS7-v0", "--episodes", "2", "--seed", "3")
    assert (done.returncode, done.stderr) == (0, "")
    *steps, last = done.stdout.splitlines()
    summary = json.loads(last)
    assert list(summary) == KEYS
    assert (summary["env"], summary["episodes"], summary["replayed"]) == ("MiniGrid-MemoryS7-v0", 2, 0)
    assert 0 <= summary["mean_return"] <= 1
    assert summary["acts_per_second"] > 0
    played = [one for one in all_episodes(deployment.gateway) if one.episode_id not in before]
    assert [one.ended for one in played] == [True, True]
    assert sum(one.memory_length for one in played) == summary["steps"] * deployment.gateway.agent().tokens_per_step
    words = {token.text for one in played for step in deployment.gateway.memory(one.episode_id) for token in step.tokens}
    assert len(words) == summary["distinct_words"] > 0
    step_lines = [line for line in steps if re.search(r"^ *\d+  .+ -> \w+", line)]
    assert len(step_lines) == summary["steps"]


def all_episodes(gateway: Gateway) -> list[EpisodeInfo]:
    """Every episode of the server."""
    with Client(gateway.target) as client:
        return list(client.list_episodes())


def test_playing_again_with_the_same_seed_takes_the_same_steps(deployment: Deployment) -> None:
    arguments = ("play", "--env", "MiniGrid-MemoryS7-v0", "--episodes", "1", "--seed", "5", "--json")
    runs = [shelm(deployment.target, *arguments) for _ in range(2)]
    told = [[json.loads(line) for line in run.stdout.splitlines()[:-1]] for run in runs]
    assert told[0]
    taken = [[(one["step"], one["words"], one["action"], one["reward"]) for one in run] for run in told]
    assert taken[0] == taken[1]


def test_memory_prints_the_words_of_an_episode(deployment: Deployment, name: str, frames: Sequence[Frame]) -> None:
    gateway, names = deployment.gateway, deployment.gateway.agent().action_space.names
    answers = play(gateway, name, frames[:6])
    done = shelm(deployment.target, "memory", name, "--from", "2")
    assert (done.returncode, done.stderr) == (0, "")
    printed = done.stdout.splitlines()
    assert len(printed) == 4
    for line, (words, action) in zip(printed, lines(answers[2:]), strict=True):
        assert line.startswith("*")
        assert all(word in line for word in words)
        assert line.endswith(f"-> {names[action]}")


def test_memory_follows_an_episode_until_it_ends(deployment: Deployment, name: str, frames: Sequence[Frame]) -> None:
    gateway, printed = deployment.gateway, list[str]()
    gateway.act(name, 0, frames[0])
    follower = subprocess.Popen(
        command(deployment.target, "memory", name, "--follow"),
        env=environment_with({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert follower.stdout is not None
        printed.append(follower.stdout.readline())  # it is there
        for step in range(1, 4):
            gateway.act(name, step, frames[step])
            printed.append(follower.stdout.readline())  # live: the episode goes on only when it is printed
        gateway.end(name)
        wait_for("the follower ends", lambda: follower.poll() is not None)
        printed += follower.stdout.read().splitlines()
        assert follower.returncode == 0
    finally:
        follower.kill()
        follower.communicate()
    assert [int(line.split()[1]) for line in printed] == [0, 1, 2, 3]


def test_agents_prints_the_default_agent_with_a_star(deployment: Deployment) -> None:
    agent = deployment.gateway.agent()
    done = shelm(deployment.target, "agents")
    assert (done.returncode, done.stderr) == (0, "")
    first = done.stdout.splitlines()[0]
    assert first.startswith(f"* {agent.name}  {agent.digest[:12]}  56x56x3  {agent.action_space.discrete} actions")


def test_ping_says_that_the_server_serves(deployment: Deployment) -> None:
    done = shelm(deployment.target, "ping")
    assert (done.returncode, done.stderr) == (0, "")
    times = r"\(connecting \d+\.\d ms, round trip \d+\.\d ms\)"
    assert re.fullmatch(rf"{re.escape(deployment.target)} serves {times}\n", done.stdout)


def test_ping_tells_where_the_time_of_an_act_goes(deployment: Deployment) -> None:
    done = shelm(deployment.target, "ping", "--act", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    act = json.loads(done.stdout)["act"]
    stages = [act[name] for name in ("retrieval_ms", "memory_ms", "policy_ms", "commit_ms")]
    assert 0 < max(stages) <= act["total_ms"] <= act["seen_ms"]


def test_episodes_lists_what_was_played_with_its_reward(deployment: Deployment) -> None:
    played = shelm(deployment.target, "play", "--env", "MiniGrid-MemoryS7-v0", "--episodes", "1", "--seed", "9", "--quiet")
    summary = json.loads(played.stdout)
    done = shelm(deployment.target, "episodes", "--limit", "1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    last = json.loads(done.stdout)
    assert (last["steps"], last["ended"], last["agent"]) == (summary["steps"], True, deployment.gateway.agent().name)
    assert abs(last["total_reward"] - summary["mean_return"]) < 1e-5
    table = shelm(deployment.target, "episodes").stdout.splitlines()
    assert last["episode_id"] in table[1]
    assert f"{last['total_reward']:.3f}" in table[1]


def test_explain_tells_which_words_decided(
    deployment: Deployment, name: str, frames: Sequence[Frame], tmp_path: Path
) -> None:
    gateway = deployment.gateway
    answers = play(gateway, name, frames[:6])
    Image.fromarray(frames[5]).save(tmp_path / "frame.png")
    options = ("explain", name, "5", "--frame", str(tmp_path / "frame.png"))
    done = shelm(deployment.target, *options, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    names = gateway.agent().action_space.names
    assert told["action"] == names[answers[5].action.discrete]
    assert sum(told["decision"]["probabilities"].values()) == pytest.approx(1.0, abs=1e-4)
    assert told["decision"]["value"] == pytest.approx(answers[5].value, abs=1e-4)
    earlier = {token.text for answer in answers[:5] for token in answer.tokens}
    assert {one["words"][0][0] for one in told["words"]} == earlier
    assert sorted(one["steps"] for one in told["steps"]) == [[0], [1], [2], [3], [4]]
    assert all(0 <= one["change"] <= 1 for one in told["words"] + told["steps"])
    printed = shelm(deployment.target, *options).stdout
    assert all(word in printed for word in earlier)


def test_explain_refuses_another_frame_and_says_what_is_missing_without_one(
    deployment: Deployment, name: str, frames: Sequence[Frame], tmp_path: Path
) -> None:
    play(deployment.gateway, name, frames[:3])
    Image.fromarray(frames[1]).save(tmp_path / "frame.png")
    other = shelm(deployment.target, "explain", name, "2", "--frame", str(tmp_path / "frame.png"))
    none = shelm(deployment.target, "explain", name, "2")
    assert "[STEP_CONFLICT]" in other.stderr
    assert "[FRAME_NEEDED]" in none.stderr
    assert "--frame FILE.png" in none.stderr
    assert (other.returncode, none.returncode, len(none.stderr.splitlines())) == (1, 1, 1)


def test_frames_of_a_server_that_records_none_say_so(deployment: Deployment, name: str, frames: Sequence[Frame]) -> None:
    play(deployment.gateway, name, frames[:1])
    done = shelm(deployment.target, "frames", name, "--out", str(deployment.folder / "frames"))
    assert done.returncode == 1
    assert "[RECORDING_OFF]" in done.stderr


def test_bench_measures_and_stops_by_itself(deployment: Deployment) -> None:
    done = shelm(deployment.target, "bench", "--episodes", "4", "--seconds", "2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["acts"] > 4
    assert 2 <= told["seconds"] < 60
    assert 0 < told["stages"]["total"]["p50_ms"] <= told["stages"]["total"]["p99_ms"]


def test_a_wrong_target_or_name_fails_with_one_line(deployment: Deployment) -> None:
    nobody = shelm(f"127.0.0.1:{free_port()}", "ping", "--timeout", "2")
    unknown = shelm(deployment.target, "memory", "no-such-episode")
    for done in (nobody, unknown):
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("shelm: ")
    assert "no-such-episode" in unknown.stderr
