"""Agents whose actions are vectors or dicts keep the promises that agents with discrete actions keep.

The policies are untrained; retrieval and memory are the shipped agent's.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from shelm import Client, Continuous, Discrete
from shelm.v1 import agent_pb2
from support.deployment import Deployment, Standalone
from support.frames import Frame, raw
from support.gateway import Gateway, act_request, play, stored

from agent.bundle import AgentBundle, load_bundle, write_manifest
from agent.policy.actor_critic import ActorCritic
from agent.policy.heads import row_sizes

SHIPPED = Path(__file__).parents[2] / "models/minigrid-memory"
LOW, HIGH = np.array([-1, -0.5, 0.1], np.float32), np.array([1, 0.5, 0.3], np.float32)
MOVE: dict[str, Any] = {"continuous": {"low": [-1, -0.5, 0.1], "high": [1, 0.5, 0.3]}, "names": ["x", "y", "z"]}
SPACES: dict[str, dict[str, Any]] = {
    "continuous": MOVE,
    "dict": {"dict": {"turn": {"discrete": 3, "names": ["left", "on", "right"]}, "move": MOVE, "grasp": {"discrete": 2}}},
}


def make_agent(folder: Path, space: dict[str, Any]) -> AgentBundle:
    """The shipped bundle with another action space, named as the folder, and an untrained policy for it."""
    shutil.copytree(SHIPPED, folder)
    content = json.loads((folder / "agent.json").read_text())
    manifest = load_bundle(folder).manifest
    content.update(name=folder.name, actions=space)
    actions, deviations = row_sizes(type(manifest.actions).model_validate(space))
    torch.manual_seed(0)
    size, memory = manifest.observation, manifest.memory.dimension
    policy = ActorCritic(
        manifest.policy,
        height=size.height,
        width=size.width,
        memory=memory,
        actions=actions,
        deviations=deviations,
        output_gain=0.1,
    )
    assert policy.log_std is not None
    policy.log_std.data.fill_(-1)  # so that some draws are clipped and some are not
    (folder / "policy.safetensors").write_bytes(save(policy.state_dict()))
    return write_manifest(folder, content)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A server with the shipped agent and one of each other kind."""
    folder = tmp_path_factory.mktemp("agents")
    bundles = [SHIPPED, *(make_agent(folder / kind, space).folder for kind, space in SPACES.items())]
    with Standalone(tmp_path_factory.mktemp("kinds"), {"SHELM_AGENTS": ",".join(map(str, bundles))}).running() as running:
        yield running


@pytest.fixture(params=SPACES)
def kind(request: pytest.FixtureRequest) -> str:
    """Name of the agent."""
    return str(request.param)


@pytest.fixture
def gateway(server: Deployment) -> Gateway:
    return server.gateway


def vector_of(action: agent_pb2.Action) -> NDArray[np.float32]:
    """The continuous part of an action."""
    continuous = action.continuous if action.HasField("continuous") else action.dict.parts[1].action.continuous
    return np.array(continuous.values, np.float32)


def drawn(answers: Sequence[agent_pb2.ActResponse]) -> list[bytes]:
    return [answer.action.SerializeToString() for answer in answers]


def test_every_agent_says_what_it_can_do(gateway: Gateway) -> None:
    listed = {agent.name: agent for agent in gateway.call("ListAgents", agent_pb2.ListAgentsRequest()).agents}
    assert list(listed) == ["minigrid-memory", *SPACES]
    shipped = listed["minigrid-memory"].action_space
    assert (shipped.WhichOneof("kind"), shipped.HasField("low")) == ("discrete", False)
    box = listed["continuous"].action_space
    assert (box.continuous, list(box.names)) == (3, ["x", "y", "z"])
    assert (list(box.low.values), list(box.high.values)) == (LOW.tolist(), HIGH.tolist())
    parts = {part.name: part.space for part in listed["dict"].action_space.dict.parts}
    assert list(parts) == ["grasp", "move", "turn"]
    assert parts["move"] == box
    assert (parts["turn"].discrete, list(parts["turn"].names)) == (3, ["left", "on", "right"])
    for name, agent in listed.items():
        assert gateway.agent(name) == agent


def test_an_action_is_of_its_kind_within_its_bounds_and_differs_from_step_to_step(
    gateway: Gateway, name: str, kind: str, frames: Sequence[Frame]
) -> None:
    answers = play(gateway, name, frames[:30], agent=kind, seed=1)
    clipped = 0
    for answer in answers:
        assert answer.action.WhichOneof("kind") == kind
        vector = vector_of(answer.action)
        assert ((vector >= LOW) & (vector <= HIGH)).all()
        clipped += int(((vector == LOW) | (vector == HIGH)).any())
        assert np.isfinite(answer.log_prob)
    assert clipped > 0
    assert len(set(drawn(answers))) > 25
    if kind == "dict":
        assert {len(answer.action.dict.parts) for answer in answers} == {3}
        assert {answer.action.dict.parts[0].action.discrete for answer in answers} == {0, 1}
        assert {answer.action.dict.parts[2].action.discrete for answer in answers} == {0, 1, 2}


def test_a_retry_gives_the_stored_action_bit_for_bit(
    gateway: Gateway, name: str, kind: str, frames: Sequence[Frame]
) -> None:
    first = play(gateway, name, frames[:6], agent=kind)
    for step, frame in enumerate(frames[:6]):
        again = gateway.act(name, step, frame)
        assert (again.replayed, stored(again)) == (True, stored(first[step]))


def test_the_memory_shows_the_action_of_each_step(gateway: Gateway, name: str, kind: str, frames: Sequence[Frame]) -> None:
    answers = play(gateway, name, frames[:5], agent=kind)
    assert [step.action for step in gateway.memory(name)] == [answer.action for answer in answers]
    gateway.end(name)
    assert [reply.step.action for reply in gateway.watch(name)] == [answer.action for answer in answers]


def test_the_same_seed_draws_the_same_actions_and_another_one_others(
    gateway: Gateway, name: str, kind: str, frames: Sequence[Frame]
) -> None:
    one, same, other = (
        drawn(play(gateway, f"{name}:{i}", frames[:8], agent=kind, seed=seed)) for i, seed in enumerate((5, 5, 6))
    )
    assert one == same
    assert not set(one) & set(other)


def test_deterministic_actions_do_not_depend_on_the_seed(
    gateway: Gateway, name: str, kind: str, frames: Sequence[Frame]
) -> None:
    one, other = (play(gateway, f"{name}:{seed}", frames[:8], agent=kind, seed=seed, deterministic=True) for seed in (5, 6))
    assert drawn(one) == drawn(other)
    for best, any_other in zip(one, play(gateway, f"{name}:drawn", frames[:8], agent=kind), strict=True):
        assert any_other.log_prob < best.log_prob


def test_episodes_of_all_kinds_act_in_one_batch(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    kinds = ["minigrid-memory", *SPACES]
    requests = [act_request(f"{name}:{kind}", 0, frames[0], agent=kind) for kind in kinds]
    results = [result.response.action.WhichOneof("kind") for result in gateway.act_batch(requests)]
    assert results == ["discrete", "continuous", "dict"]


def test_the_client_gives_arrays_and_dicts(server: Deployment, name: str, frames: Sequence[Frame]) -> None:
    with Client(server.target) as client:
        spaces = {agent.name: agent.action_space for agent in client.agents()}
        move = Continuous(tuple(LOW.tolist()), tuple(HIGH.tolist()), ("x", "y", "z"))
        assert spaces["continuous"] == move
        turn = Discrete(3, ("left", "on", "right"))
        assert spaces["dict"] == {"grasp": Discrete(2, ()), "move": move, "turn": turn}
        with client.episode(f"{name}:box", agent="continuous") as box, client.episode(f"{name}:dict", agent="dict") as many:
            vector, parts = box.act(frames[0]).action, many.act(frames[0]).action
            assert isinstance(vector, np.ndarray)
            assert vector.dtype == np.float32
            assert vector.shape == (3,)
            assert isinstance(parts, dict)
            assert [type(part) for part in parts.values()] == [int, np.ndarray, int]
            (remembered,) = many.memory()
            assert isinstance(remembered.action, dict)
            assert remembered.action["turn"] == parts["turn"]
            assert np.array_equal(remembered.action["move"], parts["move"])


def test_a_step_of_every_kind_is_explained(gateway: Gateway, name: str, kind: str, frames: Sequence[Frame]) -> None:
    answers = play(gateway, name, frames[:12], agent=kind, deterministic=True)
    request = agent_pb2.ExplainStepRequest(episode_id=name, step=11, observation=raw(frames[11]))
    explained = gateway.call("ExplainStep", request)
    assert explained.action == answers[11].action
    assert list(explained.decision.probabilities) == []
    assert explained.decision.most_probable.WhichOneof("kind") == kind
    assert np.allclose(vector_of(explained.decision.most_probable), vector_of(answers[11].action), atol=1e-5)
    assert explained.decision.value == pytest.approx(answers[11].value, abs=1e-4)
    assert len(explained.steps) == 11
    for influence in (*explained.words, *explained.steps):
        vector = vector_of(influence.without.most_probable)
        assert ((vector >= LOW) & (vector <= HIGH)).all()
        assert 0 <= influence.change <= 1
    assert max(influence.change for influence in explained.words) > 0


def test_distributions_of_every_kind(gateway: Gateway, name: str, kind: str, frames: Sequence[Frame]) -> None:
    gateway.create(name, agent=kind, deterministic=True)
    told = [gateway.act(name, step, frame, distribution=True) for step, frame in enumerate(frames[:4])][-1]
    request = agent_pb2.WhatIfRequest(episode_id=name, step=3, observation=raw(frames[3]), alternatives=[{}])
    found = gateway.call("WhatIf", request)
    for distribution in (told.distribution, found.actual.distribution, found.alternatives[0].distribution):
        parts = {part.name: part.distribution for part in distribution.dict.parts} or {"move": distribution}
        assert list(parts) == (["grasp", "move", "turn"] if kind == "dict" else ["move"])
        move = parts["move"].normal
        assert np.allclose(np.clip(move.mean, LOW, HIGH), vector_of(told.action), atol=1e-5)
        assert np.allclose(move.deviation, np.exp(-1), atol=1e-5)
        assert parts["move"].entropy == pytest.approx(3 * (np.log(2 * np.pi * np.e) / 2 - 1), abs=1e-4)
        assert distribution.entropy == pytest.approx(sum(part.entropy for part in parts.values()), abs=1e-4)
        if kind == "dict":
            for part, size in (("grasp", 2), ("turn", 3)):
                assert len(parts[part].probabilities.values) == size
                assert sum(parts[part].probabilities.values) == pytest.approx(1, abs=1e-5)
    assert found.alternatives[0].change == 0
