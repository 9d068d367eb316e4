"""SIGTERM and bursts: every call ends with an answer or in words, and the shipped client loses nothing."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from faults_episodes import Outcome, Plan, Player
from faults_serve import Serve
from grpc_health.v1 import health_pb2, health_pb2_grpc
from shelm.v1 import agent_pb2
from support.deployment import Standalone
from support.errors import Code, refusal_of_call, refused
from support.frames import Frame
from support.gateway import act_request
from support.scrape import scrape
from support.waiting import wait_for

from deploy.local.stack import free_port

pytest_plugins = ("faults_fixtures",)
pytestmark = pytest.mark.timeout(240)

BURST = 2500  # more than the 1,000 calls from which gRPC by itself begins to drop some
CLIENTS = 32
STOPS = 3
STOPPING = (Code.UNAVAILABLE, "SERVER_STOPPING")


@pytest.fixture
def standalone(tmp_path: Path, _no_settings: None) -> Iterator[Standalone]:
    """A server that waits longer than usual for its Redis, and for its last calls."""
    metrics = f"127.0.0.1:{free_port()}"
    settings = {"SHELM_REDIS_TIMEOUT": "30", "SHELM_STOP_GRACE": "30", "SHELM_METRICS_LISTEN": metrics}
    with Standalone(tmp_path, settings).running() as running:
        assert isinstance(running, Standalone)
        yield running


def test_of_thousands_of_acts_at_once_none_is_dropped_without_a_word(
    standalone: Standalone, name: str, frames: Sequence[Frame]
) -> None:
    stub = standalone.gateway.stub
    calls = [stub.Act.future(act_request(f"{name}:{i}", 0, frames[0]), timeout=120) for i in range(BURST)]
    wrong = [refusal_of_call(call).kind for call in calls if call.exception()]
    assert set(wrong) <= {(Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")}
    assert len(wrong) < BURST


def test_a_server_that_stops_ends_what_is_under_way_and_refuses_the_rest_in_words(
    standalone: Standalone, name: str, frames: Sequence[Frame]
) -> None:
    gateway, pid = standalone.gateway, standalone.pids()["standalone"]
    gateway.act(name, 0, frames[0])
    watch, streamed, more = gateway.watch(name, seconds=120), f"{name}:stream", threading.Event()
    health = health_pb2_grpc.HealthStub(gateway.channel).Watch(health_pb2.HealthCheckRequest(), timeout=120)

    def requests() -> Iterator[agent_pb2.ActStreamRequest]:
        yield agent_pb2.ActStreamRequest(request=act_request(streamed, 0, frames[0]))
        more.wait(120)

    stream = gateway.stub.ActStream(requests(), timeout=120)
    assert (next(watch).step.step, next(stream).result.response.step) == (0, 0)
    assert next(health).status == health_pb2.HealthCheckResponse.SERVING
    with ThreadPoolExecutor(1) as threads:
        with standalone.redis_paused():
            running = threads.submit(gateway.act, name, 1, frames[1])
            wait_for("the act is under way", lambda: acts_under_way(standalone), seconds=30)
            os.kill(pid, signal.SIGTERM)
            assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
            refusal = refused(lambda: gateway.act(name, 1, frames[1]))
        assert (refusal.kind, refusal.pushback) == (STOPPING, "500")
        assert running.result(60).step == 1, "it was under way, so it was committed and answered"
    for one in (watch, stream, health):
        assert refused(lambda one=one: list(one)).kind == STOPPING  # type: ignore[misc]
    more.set()
    wait_for("the server has ended", lambda: not standalone.process.alive, seconds=30)
    assert standalone.process.exit_status == 0


def acts_under_way(standalone: Standalone) -> float:
    """How many."""
    return scrape(standalone.settings["SHELM_METRICS_LISTEN"]).value("shelm_acts_in_flight")


@pytest.mark.long
def test_no_episode_of_the_shipped_client_is_hurt_while_policy_is_stopped_again_and_again(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str, errors_met: Counter[Any]
) -> None:
    over = threading.Event()
    with serve.client() as client, ThreadPoolExecutor(CLIENTS) as threads:

        def play(number: int) -> None:
            own, count = number % len(episode_plans), 0
            while not over.is_set():
                count += 1
                player = Player(client, f"{name}-{number}-{count}", episode_plans[own])
                player.play(12).check(undisturbed[own][:12])

        running = [threads.submit(play, number) for number in range(CLIENTS)]
        try:
            for _ in range(STOPS):
                time.sleep(1)
                old = serve.pid("policy")
                os.kill(old, signal.SIGTERM)
                serve.wait_new_pid("policy", old)
                serve.wait_serving()
        finally:
            over.set()
        for one in running:
            one.result(120)
    assert errors_met["UNAVAILABLE", "SERVER_STOPPING"], "not one Act met a stopping server"
    assert not [kind for kind in errors_met if kind[0] == "CANCELLED"]
