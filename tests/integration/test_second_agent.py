"""Two agents side by side: the shipped one, and one that remembers two words a frame with a Transformer-XL."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import torch
from safetensors.torch import save
from shelm.v1 import agent_pb2
from support.deployment import Deployment, Standalone, wait_ready
from support.errors import refused
from support.frames import Frame
from support.gateway import Gateway
from support.process import Process

from agent.bundle import AgentBundle, PolicyPart, load_bundle, write_manifest
from agent.policy.actor_critic import ActorCritic
from deploy.local.stack import free_port

SHIPPED = Path(__file__).parents[2] / "models/minigrid-memory"
K, WINDOW = 2, 15


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> AgentBundle:
    """A bundle with the shape of the paper's memory and an untrained policy."""
    folder = tmp_path_factory.mktemp("agents") / "paper-shaped"
    shutil.copytree(SHIPPED, folder)
    manifest = json.loads((folder / "agent.json").read_text())
    manifest["name"], manifest["retrieval"]["k"] = "paper-shaped", K
    source = {"kind": "transformer_xl", "source": "random:0", "layers": 2, "window": WINDOW, "dimension": 1024}
    manifest["memory"] = source
    torch.manual_seed(0)
    policy = ActorCritic(PolicyPart(**manifest["policy"]), height=56, width=56, memory=1024, actions=7)
    (folder / "policy.safetensors").write_bytes(save(policy.state_dict()))
    return write_manifest(folder, manifest)


@pytest.fixture(scope="module")
def both(second: AgentBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A server with both agents and few memory slots."""
    settings = {"SHELM_AGENTS": f"{SHIPPED},{second.folder}", "SHELM_SLOTS": "2"}
    with Standalone(tmp_path_factory.mktemp("both"), settings).running() as running:
        yield running


def test_the_first_bundle_is_the_default_and_both_are_listed(both: Deployment, second: AgentBundle) -> None:
    listed = both.gateway.call("ListAgents", agent_pb2.ListAgentsRequest()).agents
    names = [(agent.name, agent.default) for agent in listed]
    assert names == [("minigrid-memory", True), ("paper-shaped", False)]
    assert both.gateway.agent().digest == load_bundle(SHIPPED).digest
    described = both.gateway.agent(second.digest)
    assert (described.name, described.window, described.tokens_per_step) == ("paper-shaped", WINDOW, K)


def test_a_transformer_xl_agent_remembers_two_words_a_frame_and_survives_the_loss_of_its_slot(
    both: Deployment, frames: tuple[Frame, ...]
) -> None:
    answers: dict[str, list[tuple[list[str], int, float]]] = {"undisturbed": [], "crowded": []}
    rebuilt = 0
    for name, found in answers.items():
        for step, frame in enumerate(frames[:30]):
            if name == "crowded" and step % 7 == 3:
                for other in range(2):  # takes both slots
                    both.gateway.act(f"crowd-{step}-{other}", 0, frames[40], agent="paper-shaped")
            reply = both.gateway.act(name, step, frame, agent="paper-shaped", deterministic=True)
            rebuilt += reply.memory.rebuilt
            assert reply.memory.length == K * (step + 1)
            found.append(([token.text for token in reply.tokens], reply.action.discrete, reply.value))
    assert rebuilt == 4
    for (words, action, value), (again, same, close) in zip(*answers.values(), strict=True):
        assert (words, action) == (again, same)
        assert len(set(words)) == K
        assert value == pytest.approx(close, rel=1e-4, abs=1e-4)


def test_an_episode_keeps_the_agent_that_it_began_with(both: Deployment, frames: tuple[Frame, ...]) -> None:
    both.gateway.act("pinned", 0, frames[0], agent="paper-shaped")
    reply = both.gateway.act("pinned", 1, frames[1])
    assert len(reply.tokens) == K
    refusal = refused(lambda: both.gateway.act("pinned", 2, frames[2], agent="minigrid-memory"))
    assert refusal.kind == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_MISMATCH")
    assert [step.step for step in both.gateway.memory("pinned")] == [0, 1]


def test_an_episode_whose_bundle_is_gone_is_refused_and_stays_readable(
    both: Deployment, frames: tuple[Frame, ...], tmp_path: Path
) -> None:
    both.gateway.act("orphan", 0, frames[0], agent="paper-shaped")
    target = f"127.0.0.1:{free_port()}"
    settings = {"SHELM_REDIS_URL": both.redis_url, "SHELM_AGENTS": str(SHIPPED), "SHELM_LISTEN": target}
    process = Process([sys.executable, "-m", "services.standalone"], tmp_path / "later.log", settings)
    try:
        with Gateway(target) as later:
            wait_ready(later, process)
            refusal = refused(lambda: later.act("orphan", 1, frames[1]))
            assert refusal.kind == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_NOT_LOADED")
            assert [len(step.tokens) for step in later.memory("orphan")] == [K]
    finally:
        process.stop()
