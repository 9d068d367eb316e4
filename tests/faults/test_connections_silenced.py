"""Connections that go silent while new ones work: a load balancer has forgotten them, or the other host has vanished."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from faults_relay import Relay, relay_to
from shelm import AsyncClient, Client
from support.deployment import START_SECONDS, Deployment
from support.frames import Frame
from support.gateway import Gateway
from support.process import Process
from support.waiting import wait_for
from support.ways import DEPLOYMENTS

from deploy.local.stack import free_port

pytestmark = pytest.mark.timeout(240)

RECOVERED = 30.0  # seconds; what docs/deploy.md says
FREED = 60.0  # the same, for the place of a watcher that has vanished
STEPS = 3


def recovering(relay: Relay, client: Client, name: str, frame: Frame) -> None:
    """The connection is forgotten between two Acts: the second succeeds over another one, in time."""
    client.act(frame, name)
    relay.forget()
    began = time.monotonic()
    assert client.act(frame, name).step == 1
    assert time.monotonic() - began < RECOVERED
    assert relay.accepted == 2


def recovering_watch(relay: Relay, target: str, name: str, frame: Frame) -> None:
    """The connection of a watcher is forgotten: it goes on over another one, without a step twice or missing."""
    with Client(target) as actor, Client(relay.target) as client:
        actor.act(frame, name)
        watch = client.watch_memory(name)
        seen = [next(watch).step]
        relay.forget()
        for _ in range(STEPS):
            actor.act(frame, name)
        began = time.monotonic()
        seen += [next(watch).step for _ in range(STEPS)]
        assert time.monotonic() - began < RECOVERED
        actor.end_episode(name)
        assert seen + [step.step for step in watch] == list(range(1 + STEPS))


async def recovering_async(relay: Relay, client: AsyncClient, name: str, frame: Frame) -> None:
    """As `recovering`."""
    async with client:
        await client.act(frame, name)
        relay.forget()
        began = time.monotonic()
        assert (await client.act(frame, name)).step == 1
        assert time.monotonic() - began < RECOVERED
        assert relay.accepted == 2


@pytest.mark.parametrize(
    "timeout",
    [
        pytest.param(2.0, id="two deadlines pass before the connection is given up"),
        pytest.param(10.0, id="default", marks=pytest.mark.long),
        pytest.param(100.0, id="no deadline passes", marks=pytest.mark.long),
    ],
)
def test_a_client_whose_connection_is_forgotten_acts_within_thirty_seconds(
    deployment: Deployment, frames: Sequence[Frame], timeout: float
) -> None:
    name = f"forgotten-{uuid.uuid4().hex}"
    with relay_to(deployment.target) as one, relay_to(deployment.target) as other, ThreadPoolExecutor(2) as threads:
        client, awaited = Client(one.target, timeout=timeout), AsyncClient(other.target, timeout=timeout)
        running = (
            threads.submit(recovering, one, client, f"{name}-sync", frames[0]),
            threads.submit(asyncio.run, recovering_async(other, awaited, f"{name}-async", frames[0])),
        )
        for each in running:
            each.result()
        client.close()


def test_a_watcher_whose_connection_is_forgotten_misses_nothing(deployment: Deployment, frames: Sequence[Frame]) -> None:
    with relay_to(deployment.target) as relay:
        recovering_watch(relay, deployment.target, f"forgotten-{uuid.uuid4().hex}", frames[0])


@pytest.mark.usefixtures("_no_settings")
@pytest.mark.parametrize("way", [pytest.param(way, marks=[pytest.mark.long] * (way == "processes")) for way in DEPLOYMENTS])
@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        pytest.param({"SHELM_KEEPALIVE": "2"}, FREED / 2, id="faster"),
        pytest.param({}, FREED, id="default", marks=pytest.mark.long),
    ],
)
def test_watchers_that_have_vanished_give_their_places_back(
    tmp_path_factory: pytest.TempPathFactory,
    frames: Sequence[Frame],
    way: str,
    settings: dict[str, str],
    seconds: float,
) -> None:
    own = {"SHELM_MAX_WATCHERS": "1", "SHELM_CONNECTION_AGE": "0", **settings}
    with DEPLOYMENTS[way](tmp_path_factory.mktemp(way), own).running() as deployment, relay_to(deployment.target) as relay:
        deployment.gateway.act("watched", 0, frames[0])
        with Gateway(relay.target) as vanished:  # not our client, which would end its stream
            watch = vanished.watch("watched", seconds=600)
            next(watch)
            assert not may_watch(deployment.gateway)
            relay.forget()
            wait_for("its place is free", lambda: may_watch(deployment.gateway), seconds=seconds)
            watch.cancel()


def may_watch(gateway: Gateway) -> bool:
    """Whether there is a place for one more watcher."""
    watch = gateway.watch("watched")
    try:
        next(watch)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False
    watch.cancel()
    return True


@pytest.fixture(scope="module")
def apart(_started: Callable[[str], Deployment]) -> Deployment:
    """Retrieval and memory as processes of their own; each test starts its policy."""
    return _started("processes")


@pytest.mark.parametrize("service", ["memory", pytest.param("retrieval", marks=pytest.mark.long)])
def test_policy_acts_again_when_its_connection_to_a_backend_is_forgotten(
    tmp_path_factory: pytest.TempPathFactory, apart: Deployment, frames: Sequence[Frame], service: str
) -> None:
    behind = {"memory": apart.memory_target, "retrieval": apart.retrieval_target}[service]
    command, settings = apart.replica_command()
    own = {"SHELM_LISTEN": f"127.0.0.1:{free_port()}", "SHELM_POLICY_CACHE_FRAMES": "0"}
    with relay_to(behind) as relay:
        own[f"SHELM_{service.upper()}_TARGET"] = relay.target
        log = tmp_path_factory.mktemp(service) / "policy.log"
        process = Process(command, log, {**settings, **own})
        try:
            with Gateway(own["SHELM_LISTEN"]) as gateway:
                wait_for("policy serves", gateway.serving, seconds=START_SECONDS)
                with Client(own["SHELM_LISTEN"]) as client:
                    recovering(relay, client, f"backend-{uuid.uuid4().hex}", frames[0])
                assert "connecting anew" in log.read_text()
        finally:
            process.stop()
