"""openpi's own client package against `python -m shelm.openpi` and the real services, each in an environment of its own."""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from shelm import Client
from support.deployment import Deployment
from support.environments import bare_python, client_wheel
from support.process import environment_with

SECONDS = 120.0
OPENPI = ("openpi-client==0.1.2", "typing_extensions")  # it imports the second without asking for it
# A program of openpi's: what it does with a policy, and with the answers.
PROGRAM = """
import json, sys
import numpy as np
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.websocket_client_policy import WebsocketClientPolicy

port = int(sys.argv[1])
def frame(number):
    return np.full((56, 56, 3), number * 20, np.uint8)
def show(answer):
    return [answer["episode_id"], answer["step"], int(answer["actions"]), answer["words"]]
def error(policy, observation):
    try:
        policy.infer(observation)
    except RuntimeError as refused:
        return str(refused)

policy = WebsocketClientPolicy("127.0.0.1", port)
unsaid = error(policy, {"observation/image": frame(0)})
chunk = policy.infer({"observation/image": frame(0), "reset": True})
broker = ActionChunkBroker(policy, action_horizon=1)
rest = [show(broker.infer({"image": frame(number), "state": np.zeros(8, np.float32)})) for number in (1, 2)]
wrong = [{"image": frame(3).astype(np.float32)}, {"prompt": "go"}, {"image": frame(0), "step": "x"}]
errors = [error(policy, observation) for observation in wrong]
again = show(broker.infer({"image": frame(3)}))
new = show(broker.infer({"image": frame(3), "reset": True}))
named = []
for number in range(2):
    other = WebsocketClientPolicy("127.0.0.1", port)
    named.append(show(ActionChunkBroker(other, 1).infer({"image": frame(number), "episode_id": sys.argv[2]})))
repeated = show(ActionChunkBroker(other, 1).infer({"image": frame(0), "episode_id": sys.argv[2], "step": 0}))
first = [chunk["episode_id"], chunk["step"], int(chunk["actions"][0]), chunk["words"]]
told = {"metadata": policy.get_server_metadata(), "shape": chunk["actions"].shape, "dtype": str(chunk["actions"].dtype)}
told |= {"unsaid": unsaid, "episode": [first, *rest, again], "errors": errors}
told |= {"new": new, "named": named, "repeated": repeated}
print(json.dumps(told))
"""
# openpi's own loop, which says nothing about episodes: only its environment does.
RUNTIME = """
import json, sys
import numpy as np
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.runtime import environment, runtime
from openpi_client.runtime.agents.policy_agent import PolicyAgent
from openpi_client.runtime.subscriber import Subscriber
from openpi_client.websocket_client_policy import WebsocketClientPolicy

class Environment(environment.Environment):
    def reset(self): self.step = 0
    def is_episode_complete(self): return self.step == 3
    def get_observation(self):
        frame = np.full((3, 56, 56), self.step * 20, np.uint8)
        return {"observation/image": frame, **({"reset": True} if self.step == 0 else {})}
    def apply_action(self, action): self.step += 1

class Log(Subscriber):
    steps = []
    def on_episode_start(self): self.steps.append([])
    def on_step(self, observation, action): self.steps[-1].append([action["episode_id"], action["step"]])
    def on_episode_end(self): pass

policy = ActionChunkBroker(WebsocketClientPolicy("127.0.0.1", int(sys.argv[1])), action_horizon=1)
runtime.Runtime(Environment(), PolicyAgent(policy), [Log()], num_episodes=2).run()
print(json.dumps(Log.steps))
"""
RAW = """
import sys, msgpack, websockets.sync.client
with websockets.sync.client.connect(f"ws://127.0.0.1:{sys.argv[1]}") as socket:
    socket.recv()
    objects = {b"__ndarray__": True, b"data": b"12345678", b"dtype": "|O", b"shape": [1]}
    for evil in (b"no messagepack \\xc1", msgpack.packb([1]), msgpack.packb({"image": objects})):
        socket.send(evil)
        print(type(socket.recv()).__name__)
"""


@pytest.fixture(scope="module")
def adapter_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    return bare_python(folder / "venv", f"{client_wheel(folder)}[openpi]")


@pytest.fixture(scope="module")
def openpi_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_python(tmp_path_factory.mktemp("openpi") / "venv", *OPENPI)


@pytest.fixture
def port(adapter: Callable[..., AbstractContextManager[str]]) -> Iterator[str]:
    """The adapter's port, while it serves."""
    with adapter() as port:
        yield port


@pytest.fixture
def adapter(adapter_python: Path, deployment: Deployment) -> Callable[..., AbstractContextManager[str]]:
    """Serves with some options; gives the port."""
    return partial(serving, adapter_python, deployment)


@contextmanager
def serving(python: Path, deployment: Deployment, *options: str) -> Iterator[str]:
    """The adapter's port, while it serves."""
    command = [str(python), "-m", "shelm.openpi", "--target", deployment.target, "--listen", "127.0.0.1:0", *options]
    adapter = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=deployment.folder, env=environment_with({}))
    try:
        assert adapter.stdout is not None
        found = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", adapter.stdout.readline())
        assert found
        yield found.group(1)
    finally:
        adapter.terminate()
        adapter.communicate(timeout=SECONDS)


def run(python: Path, program: str, *arguments: str) -> str:
    """What a program prints that succeeds."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SHELM"))}
    command = [str(python), "-c", program, *arguments]
    done = subprocess.run(command, env=kept, cwd="/", capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_openpis_client_plays_episodes(openpi_python: Path, port: str, deployment: Deployment, name: str) -> None:
    told: Mapping[str, Any] = json.loads(run(openpi_python, PROGRAM, port, name))
    agent = deployment.gateway.agent()
    assert told["metadata"] == {"agent": agent.name, "agent_digest": agent.digest}
    assert (told["shape"], told["dtype"]) == ([1], "int64")
    episode = told["episode"]
    first = episode[0][0]
    assert [step for _, step, _, _ in episode] == [0, 1, 2, 3]  # an error moves nothing
    assert "given a float32 array" in told["errors"][0]
    assert "found the keys 'prompt'" in told["errors"][1]
    assert 'send "reset": True in the first observation of each episode' in told["unsaid"]
    assert told["errors"][2]
    assert not any("Traceback" in text for text in told["errors"])
    assert (told["new"][0] != first, told["new"][1]) == (True, 0)
    assert [(one[0], one[1]) for one in told["named"]] == [(name, 0), (name, 1)]  # it outlives the connection
    assert told["repeated"] == told["named"][0]
    with Client(deployment.target) as client:
        remembered = [[step.action, [token.text for token in step.tokens]] for step in client.memory(first)]
        assert remembered == [[action, words] for _, _, action, words in episode]
        assert client.get_episode(first).ended
        assert not client.get_episode(name).ended


def test_openpis_runtime_plays_episodes_as_the_adapter_was_told(
    openpi_python: Path, adapter: Callable[..., AbstractContextManager[str]], deployment: Deployment
) -> None:
    name = deployment.gateway.agent().name
    with adapter("--agent", name, "--deterministic", "--seed", "11") as port, Client(deployment.target) as client:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=SECONDS) as health:
            assert (health.status, health.read()) == (200, b"OK\n")
        played = json.loads(run(openpi_python, RUNTIME, port))[:2]  # it resets once more at its end
        episodes = [client.get_episode(steps[0][0]) for steps in played]
    assert [[step for _, step in steps] for steps in played] == [[0, 1, 2]] * 2
    assert [(one.seed, one.deterministic, one.agent) for one in episodes] == [(11, True, name), (12, True, name)]
    assert {one for steps in played for one, _ in steps} == {one.episode_id for one in episodes}


def test_what_is_no_observation_gets_a_text_and_no_objects_are_read(adapter_python: Path, port: str) -> None:
    assert run(adapter_python, RAW, port).split() == ["str", "str", "str"]


def test_with_a_token_of_its_own_it_serves_this_machine_only(adapter_python: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(adapter_python), "-m", "shelm.openpi", "--listen", "0.0.0.0:0"],
        env=environment_with({"SHELM_TOKEN": "secret"}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert "--listen" in done.stderr
    assert "secret" not in done.stderr
