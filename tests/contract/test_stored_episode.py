"""An episode that an earlier version has stored is continued, read and explained by this one.

Each file of tests/golden/stored_episode is what Redis held of an episode, and what the server of that version answered about
it (record_episode.py beside the files). Words and actions must be the same; numbers may differ by rounding,
also of the language model's weights, which were float32 and are float16. The agent that these episodes began with is not the
first of its name any more: the server has it behind today's, as after an upgrade.
"""

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from shelm.v1 import agent_pb2
from support.deployment import Deployment, Processes, Standalone
from support.earlier import GOLDEN, earlier_bundle
from support.frames import Frame, raw
from support.process import REPOSITORY

from services.store.keys import episode_key, history_key

FILES = sorted(GOLDEN.glob("*.json"))
TODAY = REPOSITORY / "models" / "minigrid-memory"
NAME = "golden:stored"
ROUNDING = 1e-3


def message(value: Any) -> Any:
    return MessageToDict(value, preserving_proto_field_name=True)


def close(found: Any, expected: Any) -> bool:
    """Equal, but for the rounding of floats."""
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and {**expected, **found}.keys() == expected.keys()
            and all(close(found.get(key), value) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(close, found, expected))
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, rel=2 * ROUNDING, abs=ROUNDING))
    return bool(found == expected)


@pytest.fixture(scope="module")
def then(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that the episodes began with."""
    return earlier_bundle(tmp_path_factory.mktemp("then") / "minigrid-memory")


@pytest.fixture(scope="module", params=[Processes, Standalone], ids=lambda kind: kind.name)
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, then: Path, _no_settings: None
) -> Iterator[Deployment]:
    """Servers with today's agent and that of then."""
    settings = {"SHELM_AGENTS": f"{TODAY},{then}"}
    with request.param(tmp_path_factory.mktemp("deployment"), settings).running() as running:
        yield running


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def stored(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[dict[str, Any]]:
    """The content of a file, its episode now in the Redis of the deployment."""
    content: dict[str, Any] = json.loads(request.param.read_text())
    keys = episode_key(NAME), history_key(NAME)
    with deployment.redis() as client:
        client.delete(*keys)
        client.hset(keys[0], mapping={name: base64.b64decode(value) for name, value in content["episode"].items()})
        for entry, fields in content["stream"]:
            client.xadd(keys[1], {name: base64.b64decode(value) for name, value in fields.items()}, id=entry)
        for key in keys:
            client.pexpire(key, 3_600_000)
        yield content
        client.delete(*keys)


def test_it_is_read(deployment: Deployment, stored: dict[str, Any]) -> None:
    episode = deployment.gateway.episode(NAME)
    assert (episode.committed_step, episode.memory_length, episode.ended) == (stored["stored"] - 1, stored["stored"], False)
    assert close([message(step) for step in deployment.gateway.memory(NAME)], stored["memory"]["steps"])


def test_a_committed_step_is_replayed_and_the_next_ones_continue_it(
    deployment: Deployment, stored: dict[str, Any], frames: Sequence[Frame]
) -> None:
    gateway, begins = deployment.gateway, stored["stored"]
    for step in range(begins - 1, len(stored["answers"])):
        answer = gateway.act(NAME, step, frames[step])
        assert answer.replayed is (step < begins)
        found, expected = message(answer), stored["answers"][step]
        for volatile in ("timing", "committed_step", "replayed"):
            found.pop(volatile, None)
        found["memory"].pop("rebuilt", None)
        assert close(found, expected), (found, expected)
    assert gateway.episode(NAME).committed_step == len(stored["answers"]) - 1


def test_it_is_explained(deployment: Deployment, stored: dict[str, Any], frames: Sequence[Frame]) -> None:
    step = stored["explained"]
    request = agent_pb2.ExplainStepRequest(episode_id=NAME, step=step, observation=raw(frames[step]))
    assert close(message(deployment.gateway.call("ExplainStep", request, seconds=120)), stored["explanation"])
