"""Connections that the server ends because of their age, every second here, while episodes are played over them."""

import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import grpc
import pytest
from faults_relay import Relay, relay_to
from shelm import Client
from shelm.v1 import agent_pb2
from support.deployment import Deployment
from support.frames import Frame
from support.gateway import Gateway, act_request, play, stored
from support.ways import DEPLOYMENTS

pytest_plugins = ("faults_fixtures",)
pytestmark = pytest.mark.timeout(240)

AGE, GRACE = 1, 2  # seconds
PLAYERS = 8
SECONDS = 8.0  # of playing
SETTINGS = {"SHELM_CONNECTION_AGE": str(AGE), "SHELM_CONNECTION_GRACE": str(GRACE)}


@pytest.fixture(scope="module", params=list(DEPLOYMENTS))
def renewing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _no_settings: None
) -> Iterator[Deployment]:
    """Each way of deploying, with connections of a short life."""
    with DEPLOYMENTS[request.param](tmp_path_factory.mktemp(request.param), SETTINGS).running() as running:
        yield running


@pytest.fixture
def relay(renewing: Deployment) -> Iterator[Relay]:
    """What counts the connections."""
    with relay_to(renewing.target) as relay:
        yield relay


def test_clients_under_load_move_to_new_connections_without_a_failed_act(
    relay: Relay, frames: Sequence[Frame], errors_met: Counter[tuple[str, str]]
) -> None:
    """Not one attempt fails, so that a client without retries loses nothing either."""

    def play_on(player: int) -> int:
        name, began, step = f"renewed-{player}-{uuid.uuid4().hex}", time.monotonic(), 0
        with Client(relay.target, retry_for=0) as client:
            while time.monotonic() - began < SECONDS:
                assert client.act(frames[step % len(frames)], name).step == step
                step += 1
        return step

    with ThreadPoolExecutor(PLAYERS) as threads:
        steps = list(threads.map(play_on, range(PLAYERS)))
    assert not errors_met, steps
    assert relay.accepted >= 2 * PLAYERS


def test_a_watcher_of_our_client_outlives_connections_and_gets_every_step_once(
    relay: Relay, renewing: Deployment, frames: Sequence[Frame]
) -> None:
    name = f"renewed-{uuid.uuid4().hex}"
    seen: list[int] = []

    def watch() -> None:
        with Client(relay.target) as client:
            seen.extend(step.step for step in client.watch_memory(name))

    with ThreadPoolExecutor(1) as threads, Client(renewing.target) as client:
        client.act(frames[0], name)
        watching = threads.submit(watch)
        steps = 1
        while relay.accepted < 3 and not watching.done():
            assert client.act(frames[steps % len(frames)], name).step == steps
            steps += 1
            time.sleep(0.05)
        client.end_episode(name)
        watching.result(60)
    assert seen == list(range(steps))


def test_a_stream_of_acts_gets_the_grace_and_goes_on_with_the_step_that_was_not_answered(
    renewing: Deployment, frames: Sequence[Frame]
) -> None:
    """As docs/protocol.md tells clients in other languages: nothing is lost, and nothing committed twice."""
    name = f"renewed-{uuid.uuid4().hex}"
    answers: list[agent_pb2.ActResponse] = []
    with Gateway(renewing.target) as gateway:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(grpc.RpcError) as broken:
                answers.extend(streamed(gateway, name, frames, first=len(answers)))
            assert broken.value.code() is grpc.StatusCode.UNAVAILABLE
            assert time.monotonic() - began > GRACE
        again = play(gateway, f"{name}-again", frames[: len(answers)], seed=gateway.episode(name).seed)
    assert [answer.step for answer in answers] == list(range(len(answers)))
    committed = [{**stored(answer), "value": 0, "log_prob": 0} for answer in answers]
    assert committed == [{**stored(answer), "value": 0, "log_prob": 0} for answer in again]


def streamed(gateway: Gateway, name: str, frames: Sequence[Frame], *, first: int) -> Iterator[agent_pb2.ActResponse]:
    """Answers over one stream, one step after the other."""
    asked: Queue[agent_pb2.ActRequest | None] = Queue()
    asked.put(act_request(name, first, frames[first]))
    for reply in gateway.act_stream(iter(asked.get, None)):
        assert reply.HasField("response"), reply
        yield reply.response
        time.sleep(0.1)  # so that two streams last through fewer steps than there are frames
        first += 1
        asked.put(act_request(name, first, frames[first]))
