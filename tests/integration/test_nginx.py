"""Behind a real nginx: a watch in which nothing happens outlives nginx's timeouts, and pings do not end its connection.

Without nginx (Debian: nginx-light) the tests are skipped.
"""

import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from shelm import Client
from shelm.channel import channel_options
from shelm.v1 import agent_pb2, agent_pb2_grpc
from support.deployment import Deployment
from support.frames import Frame
from support.gateway import Gateway, serving
from support.process import Process
from support.waiting import wait_for

from deploy.local.stack import free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine"),
    pytest.mark.timeout(240),
    pytest.mark.long,
]
# A read of the server's answer and a write to the client may take a time each, by default 60 s.
CONFIGURATION = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  grpc_read_timeout {timeout}s;
  send_timeout {timeout}s;
  server {{
    listen 127.0.0.1:{port} http2;
    location / {{ grpc_pass grpc://{target}; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, target: str, timeout: int) -> Iterator[str]:
    """A running nginx that passes on to `target`; its address."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, timeout=timeout, port=port, target=target))
    process = Process([str(NGINX), "-p", str(folder), "-e", "stderr", "-c", str(configuration)], folder / "nginx.log")
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            wait_for("nginx passes on", lambda: serving(channel))
        yield f"127.0.0.1:{port}"
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("timeout", "idle"),
    [
        pytest.param(15, 25, id="25 s idle, timeouts of 15 s"),
        pytest.param(60, 120, id="120 s idle, nginx's own timeouts"),
    ],
)
def test_an_idle_watch_outlives_the_timeouts_of_nginx(
    deployment: Deployment, tmp_path: Path, frames: Sequence[Frame], timeout: int, idle: int
) -> None:
    name = f"nginx-{uuid.uuid4().hex}"
    deployment.gateway.act(name, 0, frames[0])
    request = agent_pb2.WatchMemoryRequest(episode_id=name, signs_of_life=True)
    with (
        nginx(tmp_path, deployment.target, timeout) as target,
        grpc.insecure_channel(target, options=channel_options()) as channel,
    ):
        watch = agent_pb2_grpc.AgentServiceStub(channel).WatchMemory(request)
        assert next(watch).step.step == 0
        time.sleep(idle)
        deployment.gateway.act(name, 1, frames[1])
        steps = (reply.step.step for reply in watch if reply.HasField("step"))
        assert next(steps) == 1  # of the same call
        deployment.gateway.end(name)
        assert list(steps) == []


def test_without_signs_of_life_nginx_ends_such_a_watch(
    deployment: Deployment, tmp_path: Path, frames: Sequence[Frame]
) -> None:
    """Otherwise the test above would prove nothing."""
    name = f"nginx-{uuid.uuid4().hex}"
    deployment.gateway.act(name, 0, frames[0])
    with nginx(tmp_path, deployment.target, timeout=3) as target, Gateway(target) as gateway:
        watch = gateway.watch(name)
        next(watch)
        with pytest.raises(grpc.RpcError) as ended:
            next(watch)
        assert ended.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}


def test_our_clients_watch_goes_on_where_nginx_has_ended_it(
    deployment: Deployment, tmp_path: Path, frames: Sequence[Frame]
) -> None:
    """With timeouts shorter than the time between two signs of life."""
    name = f"nginx-{uuid.uuid4().hex}"
    with nginx(tmp_path, deployment.target, timeout=3) as target, Client(target) as client:
        client.act(frames[0], name)
        watch = client.watch_memory(name)
        seen = [next(watch).step]
        time.sleep(8)
        deployment.gateway.act(name, 1, frames[1])
        seen.append(next(watch).step)
        client.end_episode(name)
        assert seen + [step.step for step in watch] == [0, 1]
