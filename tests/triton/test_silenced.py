"""The connection to a real Triton goes silent while new ones work: Acts go on over another one."""

import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from faults_relay import relay_to
from shelm import Client
from support.deployment import START_SECONDS, BehindTriton
from support.frames import Frame
from support.gateway import Gateway
from support.process import REPOSITORY, Process
from support.waiting import wait_for

from deploy.local.stack import free_port

pytestmark = [
    pytest.mark.skipif(not (REPOSITORY / ".triton/bin/python").exists(), reason="needs `make triton-setup`"),
    pytest.mark.timeout(600),
]
RECOVERED = 30.0  # seconds; what docs/deploy.md says


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[BehindTriton]:
    with BehindTriton(tmp_path_factory.mktemp("triton")).running() as running:
        assert isinstance(running, BehindTriton)
        yield running


@pytest.mark.parametrize("service", ["policy", "standalone"])
def test_acts_go_on_when_the_connection_to_triton_is_forgotten(
    behind: BehindTriton, tmp_path: Path, frames: Sequence[Frame], service: str
) -> None:
    _, settings = behind.replica_command()
    own = {"SHELM_LISTEN": f"127.0.0.1:{free_port()}", "SHELM_REDIS_URL": behind.redis_url}
    name = f"silenced-{uuid.uuid4().hex}"
    with relay_to(behind.triton.target) as relay:
        own["SHELM_TRITON_TARGET"] = relay.target
        process = Process([sys.executable, "-m", f"services.{service}"], tmp_path / "server.log", {**settings, **own})
        try:
            with Gateway(own["SHELM_LISTEN"]) as gateway:
                wait_for("it serves", gateway.serving, seconds=START_SECONDS)
            with Client(own["SHELM_LISTEN"]) as client:
                client.act(frames[0], name)
                connections = relay.accepted
                relay.forget()
                began = time.monotonic()
                assert client.act(frames[1], name).step == 1
                assert time.monotonic() - began < RECOVERED
                assert relay.accepted > connections
                assert "connecting anew" in process.log_path.read_text()
        finally:
            process.stop()
