"""Models join and leave a real Triton that works: nobody notices but who asks for them, and nobody else can do it."""

import itertools
import shutil
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import tritonclient.grpc as tritongrpc
from shelm import Client
from support.deployment import BehindTriton, wait_ready
from support.frames import Frame
from support.gateway import Gateway
from support.process import REPOSITORY, Process
from support.waiting import wait_for
from tritonclient.utils import InferenceServerException

from agent.bundle import AgentBundle, load_bundle, write_manifest
from deploy.local.stack import free_port
from services.triton import control
from services.triton.models import PARTS, model_name
from services.triton.repository import main as write_models

pytestmark = [
    pytest.mark.skipif(not (REPOSITORY / ".triton/bin/python").exists(), reason="needs `make triton-setup`"),
    pytest.mark.timeout(600),
]
BUNDLE = REPOSITORY / "models/minigrid-memory"
PLAYERS = 8


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> AgentBundle:
    folder = tmp_path_factory.mktemp("bundles") / "newer"
    shutil.copytree(BUNDLE, folder)
    content = load_bundle(BUNDLE).manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return write_manifest(folder, {**content, "description": "A newer agent of the same name"})


@contextmanager
def playing(target: str, frames: Sequence[Frame]) -> Iterator[list[int]]:
    """Episodes go on meanwhile, and an Act that fails is not sent again; yields the Acts of each so far."""
    done, stop = [0] * PLAYERS, threading.Event()

    def play(number: int) -> None:
        name = f"playing:{uuid.uuid4().hex}"
        with Client(target, retry_for=0) as client:
            for step in itertools.count():
                if stop.is_set():
                    return
                client.act(frames[step % len(frames)], name, step=step)
                done[number] += 1

    with ThreadPoolExecutor(PLAYERS) as threads:
        running = [threads.submit(play, number) for number in range(PLAYERS)]
        try:
            wait_for("all have begun", lambda: min(done) > 0, seconds=60)
            yield done
        finally:
            stop.set()
        for one in running:
            one.result(60)


@contextmanager
def service(behind: BehindTriton, folder: Path, *bundles: Path) -> Iterator[str]:
    """One more, as a rolling update starts it; yields its address."""
    target = f"127.0.0.1:{free_port()}"
    own = {"SHELM_AGENTS": ",".join(map(str, bundles)), "SHELM_REDIS_URL": behind.redis_url, "SHELM_LISTEN": target}
    process = Process([sys.executable, "-m", "services.policy"], folder / "newer.log", {**behind.settings, **own})
    try:
        with Gateway(target) as gateway:
            wait_ready(gateway, process)
        yield target
    finally:
        process.stop()


def test_a_bundle_joins_and_another_leaves_while_episodes_go_on(
    behind: BehindTriton, newer: AgentBundle, frames: Sequence[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELM_TRITON_KEY", behind.triton.key)
    name, old = f"rolling:{uuid.uuid4().hex}", load_bundle(BUNDLE)
    before = [behind.gateway.act(name, step, frames[step]) for step in range(3)]
    with playing(behind.target, frames) as done:
        write_models([str(newer.folder), "--out", str(behind.repository)])
        began = sum(done)
        control.main(["load", str(newer.folder), "--target", behind.triton.target])
        assert sum(done) > began + PLAYERS, "they played while the models were loaded"
        with service(behind, tmp_path, newer.folder, BUNDLE) as target, Gateway(target) as gateway:
            fresh = gateway.act(f"{name}-new", 0, frames[0])
            again = gateway.act(name, 3, frames[3])
            last = behind.gateway.act(name, 4, frames[4])
    assert fresh.agent_digest == newer.digest != before[0].agent_digest
    assert again.agent_digest == last.agent_digest == before[0].agent_digest
    assert [token.text for token in fresh.tokens] == [token.text for token in before[0].tokens]
    with service(behind, tmp_path, newer.folder) as target:
        with playing(target, frames) as done:
            began = sum(done)
            control.main(["unload", old.digest, "--target", behind.triton.target])
            wait_for("nobody serves the old bundle", lambda: not behind.gateway.serving(), seconds=30)
            assert sum(done) > began + PLAYERS
        with tritongrpc.InferenceServerClient(behind.triton.target) as triton:
            for part in PARTS:
                assert not triton.is_model_ready(model_name(part, old.digest))
                assert triton.is_model_ready(model_name(part, newer.digest))
    control.main(["load", old.digest, "--target", behind.triton.target])
    wait_for("the gateway serves again", behind.gateway.serving, seconds=30)
    assert behind.gateway.act(name, 5, frames[5]).memory.rebuilt


def test_nobody_without_the_key_loads_models_or_shares_memory(behind: BehindTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = load_bundle(BUNDLE).digest
    monkeypatch.setenv("SHELM_TRITON_KEY", "guessed")
    with pytest.raises(SystemExit, match="restricted"):
        control.main(["unload", digest, "--target", behind.triton.target])
    with tritongrpc.InferenceServerClient(behind.triton.target) as triton:
        with pytest.raises(InferenceServerException, match="restricted"):
            triton.unload_model(model_name("act", digest))
        with pytest.raises(InferenceServerException, match="restricted"):
            triton.register_system_shared_memory("region", "/triton_python_backend_shm_region_1", 64)
        assert triton.is_model_ready(model_name("act", digest))


def test_a_bundle_without_models_is_told(behind: BehindTriton, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELM_TRITON_KEY", behind.triton.key)
    with pytest.raises(SystemExit, match="no models of the bundle 0123"):
        control.main(["load", "0123456789abcdef0", "--target", behind.triton.target])
