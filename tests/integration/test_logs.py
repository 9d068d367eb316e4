"""What a real process writes to standard error: one object a line, with the call it belongs to, and no secrets."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from shelm.v1 import agent_pb2
from support.errors import refused
from support.frames import Frame
from support.gateway import Gateway, act_request
from support.process import REPOSITORY, Process, environment_with
from support.waiting import wait_for

from deploy.local.stack import free_port

TOKEN, OTHER = "secret-of-the-test", "nobody-knows-this"


class Policy:
    """A policy service alone, without Redis: every Act is refused, each with its reason."""

    def __init__(self, folder: Path, **settings: str) -> None:
        tokens, target = folder / "tokens", f"127.0.0.1:{free_port()}"
        tokens.write_text(f"{TOKEN} me act,read tenant=acme\npolicy-token policy inner\n")
        environment = {"SHELM_LISTEN": target, "SHELM_REDIS_URL": "redis://:hunter2@127.0.0.1:1/0", **settings}
        environment["SHELM_TOKENS_FILE"] = str(tokens)
        self.log = folder / "policy.log"
        self.process = Process([sys.executable, "-m", "services.policy"], self.log, environment)
        self.gateway = Gateway(target, token=TOKEN)
        self.stranger = Gateway(target, token=OTHER)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> None:
        self.gateway.close()
        self.stranger.close()
        self.process.stop()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Policy]:
    one = Policy(tmp_path_factory.mktemp("policy"), SHELM_LOG_FORMAT="json")
    try:
        wait_for("it serves", lambda: "serves on" in one.log.read_text() or not one.process.alive, seconds=120)
        yield one
    finally:
        one.stop()


def refusals(policy: Policy, reason: str) -> list[dict[str, Any]]:
    return [line for line in policy.lines() if f" {reason}: " in line["message"]]


def test_every_line_is_one_object_with_the_same_fields(policy: Policy) -> None:
    lines = policy.lines()
    assert lines
    for line in lines:
        assert {"time", "service", "level", "logger", "message"} <= line.keys()
        assert line["service"] == "policy"
        assert abs((datetime.now(UTC) - datetime.fromisoformat(line["time"])).total_seconds()) < 3600
    (start,) = [line for line in lines if "serves on" in line["message"]]
    assert start["level"] == "INFO"
    assert "episode_id" not in start  # it belongs to no call
    assert "hunter2" not in policy.log.read_text()


def test_a_failed_act_is_one_line_with_its_episode_and_reason(policy: Policy, frames: tuple[Frame, ...], name: str) -> None:
    """Beside the line of the first call of Redis that failed, which has the traceback."""
    assert refused(lambda: policy.gateway.act(name, 7, frames[0])).reason == "STORE_UNAVAILABLE"
    found = [one for one in policy.lines() if one.get("episode_id") == f"{name}@acme"]  # in full: the log is the operator's
    (line,) = [one for one in found if one["logger"] != "services.store.errors"]
    assert (line["level"], line["step"]) == ("WARNING", 7)
    assert line["message"].startswith("/shelm.v1.AgentService/Act refused: UNAVAILABLE STORE_UNAVAILABLE: ")


def test_each_item_of_a_batch_names_its_own_episode(policy: Policy, frames: tuple[Frame, ...], name: str) -> None:
    policy.gateway.act_batch([act_request(f"{name}.{i}", i, frames[0]) for i in range(3)])
    found = {(one["episode_id"], one["step"]) for one in policy.lines() if one.get("episode_id", "").startswith(name)}
    assert found == {(f"{name}.{i}@acme", i) for i in range(3)}


def test_what_the_caller_did_wrong_is_no_warning(policy: Policy, frames: tuple[Frame, ...]) -> None:
    assert refused(lambda: policy.gateway.act("no spaces", 0, frames[0])).reason == "INVALID_FIELD"
    (line,) = refusals(policy, "INVALID_FIELD")
    assert line["level"] == "INFO"
    assert "episode_id" in line["message"]


def test_neither_tokens_nor_frames_are_logged(policy: Policy, frames: tuple[Frame, ...], name: str) -> None:
    assert refused(lambda: policy.stranger.act(name, 0, frames[0])).reason == "UNAUTHENTICATED"
    assert refusals(policy, "UNAUTHENTICATED")
    frame = agent_pb2.Image(encoding=agent_pb2.ENCODING_PNG, data=b"pixels-of-the-test" * 100)
    refused(lambda: policy.gateway.act(name, 0, frame))
    said = policy.log.read_text()
    assert not [secret for secret in (TOKEN, OTHER, "pixels-of-the-test") if secret in said]


def test_an_unknown_form_stops_the_start() -> None:
    command = [sys.executable, "-m", "services.retrieval"]
    result = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment_with({"SHELM_LOG_FORMAT": "xml"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("SHELM_LOG_FORMAT: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SHELM_TRACES", "collector"), ("SHELM_TRACES", "http://collector"), ("SHELM_TRACES_RATIO", "1.5")],
)
def test_bad_settings_of_the_traces_stop_the_start(variable: str, value: str) -> None:
    command = [sys.executable, "-m", "services.retrieval"]
    result = subprocess.run(
        command, cwd=REPOSITORY, env=environment_with({variable: value}), capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr.partition(":")[0]) == (2, variable)
