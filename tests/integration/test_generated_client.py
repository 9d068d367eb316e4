"""The contract alone is enough: stubs generated from agent.proto, in an environment with grpcio and protobuf only, play."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.deployment import Deployment
from support.environments import bare_python
from support.process import REPOSITORY

PROTO = REPOSITORY / "protos" / "shelm" / "v1" / "agent.proto"
PLAY_SECONDS = 120.0
STEPS = 24
# All that a client in any language does: fill a request, send it, read the reply.
CLIENT = """
import json, sys
import grpc
import agent_pb2, agent_pb2_grpc

target, episode_id, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
stub = agent_pb2_grpc.AgentServiceStub(grpc.insecure_channel(target))
spec = stub.GetAgent(agent_pb2.GetAgentRequest()).agent
height, width = spec.observation.height, spec.observation.width
answers = []
for step in range(steps):
    pixels = bytes((step * 40 + row + column * channel) % 256
                   for row in range(height) for column in range(width) for channel in range(3))
    frame = agent_pb2.Image(encoding=agent_pb2.ENCODING_RAW_RGB8, height=height, width=width, data=pixels)
    reply = stub.Act(agent_pb2.ActRequest(episode_id=episode_id, step=step, observation=frame))
    answers.append([reply.committed_step, reply.action.discrete, [token.text for token in reply.tokens]])
remembered = stub.GetMemory(agent_pb2.GetMemoryRequest(episode_id=episode_id)).steps
stub.EndEpisode(agent_pb2.EndEpisodeRequest(episode_id=episode_id))
modules = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"answers": answers, "actions": spec.action_space.discrete, "modules": modules,
                  "memory": [[one.step, one.action.discrete, [token.text for token in one.tokens]] for one in remembered]}))
"""


@pytest.fixture(scope="module")
def bare_client(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """The command of a client that was made from agent.proto and knows nothing else of this repository."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "agent.proto").write_text(PROTO.read_text())
    options = [f"-I{folder}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, "agent.proto"], check=True, timeout=60)
    (folder / "client.py").write_text(CLIENT)
    # in the versions that are pinned here
    python = bare_python(
        folder / "venv", *(f"{name}=={importlib.metadata.version(name)}" for name in ("grpcio", "protobuf"))
    )
    return [str(python), "-I", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); import client"]


def test_a_client_generated_from_the_contract_alone_plays_an_episode(
    deployment: Deployment, bare_client: Sequence[str], name: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [*bare_client, deployment.target, name, str(STEPS)],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
        capture_output=True,
        text=True,
        timeout=PLAY_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert not {"shelm", "services", "numpy", "torch"} & set(told["modules"])
    assert [committed for committed, _, _ in told["answers"]] == list(range(STEPS))
    assert all(0 <= action < told["actions"] for _, action, _ in told["answers"])
    assert told["memory"] == told["answers"]
    episode = deployment.gateway.episode(name)
    assert (episode.committed_step, episode.ended) == (STEPS - 1, True)
