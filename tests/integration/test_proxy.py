"""The component proxy: a real Envoy with the configuration that we ship, before two real servers on one Redis.

Only addresses are replaced, and connections are renewed every 2 s in place of 5 minutes.
"""

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from shelm import Act, Client
from shelm.channel import channel_options
from shelm.errors import Unavailable
from shelm.v1 import agent_pb2, agent_pb2_grpc
from support import envoy
from support.deployment import RedisProcess
from support.frames import Frame
from support.gateway import serving
from support.process import REPOSITORY
from support.server import Server
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(240)
FILES = [REPOSITORY / "deploy/k8s/components/proxy" / name for name in ("envoy.yaml", "routes.yaml", "clusters.yaml")]
EPISODES = 16


Both = tuple[Server, Server]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    redis = RedisProcess(tmp_path_factory.mktemp("store"))
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture(scope="module")
def servers(store: RedisProcess, tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("proxy")
    both = tuple(Server(folder, store.url, SHELM_CONNECTION_AGE="2") for _ in range(2))
    try:
        yield both[0].wait(), both[1].wait()
    finally:
        for server in both:
            server.process.stop()


@pytest.fixture(scope="module")
def proxy(servers: Both, tmp_path_factory: pytest.TempPathFactory) -> Iterator[envoy.Envoy]:
    def renew_often(configuration: envoy.Configuration) -> None:
        manager = configuration["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        assert manager["common_http_protocol_options"]["max_connection_duration"] == "300s"
        manager["common_http_protocol_options"]["max_connection_duration"] = "2s"

    places = {"policy-replicas:50051": [server.target for server in servers]}
    with (
        envoy.running(FILES, places, tmp_path_factory.mktemp("envoy"), renew_often) as one,
        grpc.insecure_channel(one.target) as channel,
    ):
        wait_for("the proxy passes on", lambda: serving(channel))
        yield one


def homes(client: Client, servers: Both, names: Sequence[str], frame: Frame) -> list[Server]:
    """Plays one step in each episode; which server took it."""
    found = []
    for name in names:
        with counted(servers, "Act", 1) as grown:
            client.act(frame, name)
        found.append(servers[grown.index(1)])
    return found


@contextmanager
def counted(servers: Both, method: str, count: int) -> Iterator[list[float]]:
    """How many of the block's `count` calls each server has answered; an answer is counted soon after it was sent."""
    before, grown = [server.calls(method) for server in servers], [0.0, 0.0]

    def all_counted() -> bool:
        grown[:] = [server.calls(method) - calls for server, calls in zip(servers, before, strict=True)]
        return sum(grown) >= count

    yield grown
    wait_for("the calls are counted", all_counted, seconds=10)
    assert sum(grown) == count


def fresh(count: int) -> list[str]:
    return [f"proxy-{uuid.uuid4().hex}" for _ in range(count)]


def test_an_episode_keeps_its_server_and_episodes_are_spread(
    servers: Both, proxy: envoy.Envoy, frames: Sequence[Frame]
) -> None:
    names = fresh(EPISODES)
    with Client(proxy.target) as client, Client(proxy.target) as another:
        first = homes(client, servers, names, frames[0])
        another_client = homes(another, servers, names[:4], frames[0])  # repeats the step
        time.sleep(2.5)  # all connections have been renewed
        second = homes(client, servers, names, frames[1])
    assert second == first
    assert another_client == first[:4]
    assert set(first) == set(servers)


def test_calls_without_the_name_of_an_episode_reach_both(servers: Both, proxy: envoy.Envoy) -> None:
    with Client(proxy.target) as client, counted(servers, "ListAgents", 40) as grown:
        for _ in range(40):
            client.agents()
    assert min(grown) > 0


def test_a_batch_larger_than_what_the_proxy_keeps_for_retries_gets_through(
    proxy: envoy.Envoy, frames: Sequence[Frame]
) -> None:
    names = fresh(128)
    assert 128 * frames[0].nbytes > 2**20
    with Client(proxy.target) as client:
        assert {type(one) for one in client.act_batch(dict.fromkeys(names, frames[0])).values()} == {Act}


def test_no_act_fails_and_an_idle_watch_goes_on_while_a_server_is_killed_and_comes_back(
    servers: Both, proxy: envoy.Envoy, frames: Sequence[Frame]
) -> None:
    """kill -9 among Acts of 16 episodes: theirs go on at the other server, and back at their own when it is there again."""
    names, over = fresh(EPISODES), threading.Event()
    with Client(proxy.target, retry_for=60) as client, ThreadPoolExecutor(EPISODES) as threads:
        at_first = homes(client, servers, names, frames[0])
        staying = next(name for name, home in zip(names, at_first, strict=True) if home is servers[1])
        idle = f"{staying}-idle"
        while homes(client, servers, [idle], frames[0]) != [servers[1]]:
            idle = fresh(1)[0]

        def play(name: str) -> int:
            for step in range(1, 10_000):
                assert client.act(frames[step % len(frames)], name).step == step
                if over.is_set():
                    return step
            raise AssertionError("it was too fast")

        with grpc.insecure_channel(proxy.target, options=channel_options()) as channel:
            request = agent_pb2.WatchMemoryRequest(episode_id=idle)
            watch = agent_pb2_grpc.AgentServiceStub(channel).WatchMemory(request, metadata=[("shelm-episode", idle)])
            assert next(watch).step.step == 0
            running = [threads.submit(play, name) for name in names]
            time.sleep(1)
            servers[0].kill()
            wait_for("the proxy has noticed", lambda: healthy(proxy) == 1, seconds=5)
            servers[0].start()
            servers[0].wait()
            wait_for("it has load again", lambda: servers[0].calls("Act") > 0, seconds=5)
            over.set()
            steps = [one.result(60) for one in running]
            client.act(frames[1], idle)
            assert next(watch).step.step == 1  # of the same call
            watch.cancel()
        assert proxy.scrape().value("envoy_cluster_upstream_rq_retry_success_total", envoy_cluster_name="servers") > 0
        assert homes(client, servers, names, frames[0]) == at_first
        for name, step in zip(names, steps, strict=True):
            assert [one.step for one in client.memory(name)] == list(range(step + 2))


def test_the_proxy_tells_prometheus_how_many_servers_are_healthy(proxy: envoy.Envoy) -> None:
    assert healthy(proxy) == 2


@pytest.mark.long
def test_while_no_server_is_ready_clients_are_told_what_is_missing(
    store: RedisProcess, proxy: envoy.Envoy, frames: Sequence[Frame]
) -> None:
    """Both wait for the same Redis: the proxy passes on, and a server's own error comes back."""
    (name,) = fresh(1)
    with Client(proxy.target, retry_for=0, timeout=20) as client, Client(proxy.target, retry_for=60) as patient:
        client.act(frames[0], name)
        os.kill(store.process.pid, signal.SIGSTOP)
        try:
            wait_for("no server is ready", lambda: healthy(proxy) == 0, seconds=30)
            with pytest.raises(Unavailable) as caught:
                client.act(frames[1], name)
            assert caught.value.reason == "STORE_UNAVAILABLE"
            assert caught.value.retry_after is not None
        finally:
            os.kill(store.process.pid, signal.SIGCONT)
        assert patient.act(frames[1], name, step=1).step == 1


def healthy(proxy: envoy.Envoy) -> float:
    return proxy.scrape().value("envoy_cluster_membership_healthy", envoy_cluster_name="servers")
