"""From one replica to two while episodes run: the second one carries load within a minute. Run by `make test-pods`, as root.

Policy behind the proxies of deploy/k8s (a real Envoy on the bridge), and Triton behind policy, each on a machine of its own.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import tritonclient.grpc as tritongrpc
from shelm import Client
from support import envoy
from support.frames import Frame
from support.pods import PORTS, Pods
from support.process import REPOSITORY
from support.scrape import scrape
from support.waiting import wait_for

from agent.bundle import load_bundle
from services.triton.models import model_name
from services.triton.repository import main as write_models
from tools.local_triton import TritonServer

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("_no_settings"),
]
BUNDLE = REPOSITORY / "models/minigrid-memory"
FILES = [REPOSITORY / "deploy/k8s/components/proxy" / name for name in ("envoy.yaml", "routes.yaml", "clusters.yaml")]
EPISODES, MINUTE = 12, 60.0
METRICS = 9464


class OnePolicy(Pods):
    """With one of two replicas of policy."""

    def start(self) -> None:
        self.settings["SHELM_METRICS_LISTEN"] = f"0.0.0.0:{METRICS}"
        super().start()
        self.processes["policy-2"].stop()

    def acts(self, number: int) -> float:
        """How many Acts a replica has answered in this life; 0 while it is away."""
        try:
            seen = scrape(f"{self.machines[f'policy-{number}'].address}:{METRICS}")
        except OSError:
            return 0.0
        return seen.value("shelm_calls_total", method="/shelm.v1.AgentService/Act", code="OK")


class OneTriton(OnePolicy):
    """With all models in a Triton; policy knows a second one, which does not run."""

    def start_redis(self) -> str:
        url = super().start_redis()
        repository = self.folder / "repository"
        write_models([str(BUNDLE), "--out", str(repository), "--parts", "act", "clip_image", "memory"])
        machines = [self.machine(f"triton-{i + 1}") for i in range(2)]
        self.tritons = [
            TritonServer(
                repository,
                port=8001,
                folder=self.folder / one.name,
                environment=REPOSITORY / ".triton",
                host=one.address,
                inside=one.inside,
            )
            for one in machines
        ]
        self.tritons[0].start()
        self.settings |= {"SHELM_ENGINE": "triton", "SHELM_TRITON_TARGET": ",".join(one.target for one in self.tritons)}
        return url

    def stop(self) -> None:
        super().stop()
        for one in getattr(self, "tritons", []):
            one.stop()


def computed(server: TritonServer) -> int:
    """How many Acts a Triton has computed."""
    with tritongrpc.InferenceServerClient(server.target) as client:
        (stats,) = client.get_inference_statistics(model_name("act", load_bundle(BUNDLE).digest)).model_stats
        return int(stats.inference_count)


@contextmanager
def playing(target: str, frames: Sequence[Frame]) -> Iterator[None]:
    """Episodes that run as long as the block; every Act must be answered."""
    over = threading.Event()

    def play() -> None:
        with Client(target, retry_for=120) as client:
            name, step = f"scaled-{uuid.uuid4().hex}", 0
            while not over.is_set():
                assert client.act(frames[step % len(frames)], name).step == step
                step += 1

    with ThreadPoolExecutor(EPISODES) as threads:
        running = [threads.submit(play) for _ in range(EPISODES)]
        try:
            yield
        finally:
            over.set()
        for one in running:
            one.result(120)


def seconds_until(what: str, start: Callable[[], object], seen: Callable[[], object]) -> float:
    """Seconds from the start of a replica until `seen`."""
    began = time.monotonic()
    start()
    wait_for(what, seen, seconds=MINUTE)
    return time.monotonic() - began


def test_a_second_policy_takes_its_share(tmp_path: Path, frames: Sequence[Frame]) -> None:
    with OnePolicy(tmp_path).running() as pods:
        assert isinstance(pods, OnePolicy)
        places = [f"{pods.machines[f'policy-{i}'].address}:{PORTS['policy']}" for i in (1, 2)]
        with envoy.running(FILES, {"policy-replicas:50051": places}, tmp_path) as proxy, playing(proxy.target, frames):
            wait_for("the first one carries load", lambda: pods.acts(1) > 50)
            taken = seconds_until("both do", lambda: pods.start_service("policy", 2), lambda: pods.acts(2) > 50)
            before = pods.acts(1)
            wait_for("the first one still does", lambda: pods.acts(1) > before + 50)
    assert taken < MINUTE


@pytest.mark.skipif(not (REPOSITORY / ".triton/bin/python").exists(), reason="needs `make triton-setup`")
def test_a_second_triton_takes_its_share(tmp_path: Path, frames: Sequence[Frame]) -> None:
    with OneTriton(tmp_path).running() as pods:
        assert isinstance(pods, OneTriton)
        first, second = pods.tritons
        with playing(pods.target, frames):
            wait_for("the first one carries load", lambda: computed(first) > 50)
            taken = seconds_until("both do", second.start, lambda: computed(second) > 50)
            before = computed(first)
            wait_for("the first one still does", lambda: computed(first) > before + 50)
    assert taken < MINUTE
