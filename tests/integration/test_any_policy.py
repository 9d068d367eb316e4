"""Agents of stable-baselines3 from their zip to a served Act: bundled by one command, killed, continued, without words."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from shelm.v1 import agent_pb2
from support.deployment import Standalone
from support.errors import refused
from support.gateway import Gateway, act_request
from support.policies import STEPS, Played, Squares, play_in_process, trained_ppo, trained_recurrent
from support.process import Process
from support.waiting import wait_for

from deploy.local.stack import free_port
from training.bundle_policy import main as bundle_policy

pytest.importorskip("onnxruntime")
CLOSE = 1e-5


class Served:
    """Two agents, the server that has them, and what they do in process."""

    def __init__(self, deployment: Standalone, played: dict[str, Played], forgetful: Played) -> None:
        self.deployment, self.played, self.forgetful = deployment, played, forgetful

    @property
    def gateway(self) -> Gateway:
        return self.deployment.gateway

    def act(self, agent: str, name: str, steps: range) -> list[agent_pb2.ActResponse]:
        frames = self.played[agent].frames
        return [self.gateway.act(name, step, frames[step], agent=agent, deterministic=True) for step in steps]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Served]:
    """A feed-forward agent and a recurrent one."""
    folder = tmp_path_factory.mktemp("policies")
    models: dict[str, Any] = {"squares": trained_ppo(folder / "ppo.zip"), "before": trained_recurrent(folder / "rppo.zip")}
    for zipped, name in (("ppo.zip", "squares"), ("rppo.zip", "before")):
        bundle_policy(["--sb3", str(folder / zipped), "--out", str(folder / name)])
    played = {name: play_in_process(model, Squares(delay=int(name == "before")), seed=7) for name, model in models.items()}
    forgetful = play_in_process(models["before"], Squares(delay=1), seed=7, forgets=True)
    agents = {"SHELM_AGENTS": f"{folder / 'squares'},{folder / 'before'}", "SHELM_RECORD": str(folder / "frames")}
    with Standalone(tmp_path_factory.mktemp("server"), agents).running() as running:
        assert isinstance(running, Standalone)
        yield Served(running, played, forgetful)


def test_a_server_that_is_killed_in_mid_episode_continues_with_the_actions_of_predict(served: Served, name: str) -> None:
    half = STEPS // 2
    first = {agent: served.act(agent, f"{name}-{agent}", range(half)) for agent in served.played}
    served.deployment.kill_and_start()
    for agent, expected in served.played.items():
        assert len(set(expected.actions)) > 1, "an agent that always does the same would prove nothing"
        (again,) = served.act(agent, f"{name}-{agent}", range(half - 1, half))
        assert again.replayed
        assert again.action == first[agent][-1].action
        answers = [*first[agent], *served.act(agent, f"{name}-{agent}", range(half, STEPS))]
        assert [answer.action.discrete for answer in answers] == expected.actions
        assert [answer.log_prob for answer in answers] == pytest.approx(expected.log_probs, abs=CLOSE)
        if agent == "squares":
            assert [answer.value for answer in answers] == pytest.approx(expected.values, abs=CLOSE)


def test_a_state_that_were_lost_would_be_seen(served: Served) -> None:
    kept = served.played["before"]
    assert np.abs(np.subtract(kept.log_probs[STEPS // 2 :], served.forgetful.log_probs[STEPS // 2 :])).max() > 100 * CLOSE


def test_a_retry_is_replayed_and_another_frame_is_a_conflict(served: Served, name: str) -> None:
    answers = served.act("before", name, range(4))
    again = served.act("before", name, range(2, 4))
    assert [one.replayed for one in again] == [True, True]
    assert [(one.action, one.value, one.log_prob) for one in again] == [(o.action, o.value, o.log_prob) for o in answers[2:]]
    black = np.zeros_like(served.played["before"].frames[0])
    assert refused(lambda: served.gateway.act(name, 3, black)).reason == "STEP_CONFLICT"
    assert served.act("before", name, range(4, 5))[0].action.discrete == served.played["before"].actions[4]


def test_episodes_in_one_batch_do_not_share_their_state(served: Served, name: str) -> None:
    """Two episodes of the recurrent agent with other frames, in turn and together, and one alone."""
    frames, other = served.played["before"].frames, served.played["squares"].frames
    for step in range(6):
        both = ((f"{name}-0", frames), (f"{name}-1", other))
        requests = [act_request(one, step, seen[step], agent="before", deterministic=True) for one, seen in both]
        mine, _ = served.gateway.act_batch(requests)
        assert mine.response.action.discrete == served.played["before"].actions[step]
        assert mine.response.log_prob == pytest.approx(served.played["before"].log_probs[step], abs=CLOSE)


def test_words_are_refused_with_the_reason_and_steps_are_given_where_they_are_asked_for(served: Served, name: str) -> None:
    served.act("squares", name, range(3))
    explain = agent_pb2.ExplainStepRequest(episode_id=name, step=1)
    memory, watch = agent_pb2.GetMemoryRequest(episode_id=name), agent_pb2.WatchMemoryRequest(episode_id=name)
    for method, request in (("ExplainStep", explain), ("GetMemory", memory), ("WatchMemory", watch)):
        found = refused(partial(_read, served.gateway, method, request))
        assert found.kind == (grpc.StatusCode.FAILED_PRECONDITION, "AGENT_KEEPS_NO_WORDS")
        assert "'squares'" in found.message
    memory.without_words = True
    steps = served.gateway.call("GetMemory", memory).steps
    assert [step.action.discrete for step in steps] == served.played["squares"].actions[:3]
    assert not any(step.tokens or step.in_window for step in steps)


def test_the_agent_says_what_it_is(served: Served) -> None:
    agent = served.gateway.agent("before")
    assert (agent.tokens_per_step, agent.vocabulary_size, agent.window) == (0, 0, 0)
    assert (agent.observation.height, agent.observation.channels, agent.observation.stacked) == (36, 3, 1)
    assert agent.action_space.discrete == 3


def test_the_inspector_shows_its_steps(served: Served, name: str, tmp_path: Path) -> None:
    served.act("squares", name, range(3))
    listen = f"127.0.0.1:{free_port()}"
    settings = {"SHELM_INSPECTOR_LISTEN": listen, "SHELM_INSPECTOR_TARGET": served.deployment.target}
    process = Process([sys.executable, "-m", "services.inspector"], tmp_path / "log", settings)
    try:
        wait_for("the inspector answers", lambda: _answers(listen), seconds=60)
        steps = httpx.get(f"http://{listen}/api/episodes/{name}/memory").json()
        assert [(one["action"], one["tokens"]) for one in steps] == [(a, []) for a in served.played["squares"].actions[:3]]
        assert [one["value"] for one in steps] == pytest.approx(served.played["squares"].values[:3], abs=CLOSE)
        refused = httpx.get(f"http://{listen}/api/episodes/{name}/explain/1", headers={"X-Shelm-Page": "1"}, timeout=30)
        assert (refused.status_code, refused.json()["reason"]) == (412, "AGENT_KEEPS_NO_WORDS")
    finally:
        process.stop()


def _read(gateway: Gateway, method: str, request: Any) -> None:
    """Calls a method and reads its answer, also that of a stream."""
    list(gateway.call(method, request))


def _answers(listen: str) -> bool:
    try:
        return httpx.get(f"http://{listen}/healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
