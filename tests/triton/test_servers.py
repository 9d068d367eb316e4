"""Two real Tritons behind one policy service: one joins while episodes run, the other dies; no Act fails."""

import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import tritonclient.grpc as tritongrpc
from faults_episodes import Player, plans, play_undisturbed
from shelm import Client
from support.deployment import RedisProcess, wait_ready
from support.frames import Frame
from support.gateway import Gateway
from support.process import REPOSITORY, Process
from support.waiting import wait_for

from agent.bundle import load_bundle
from deploy.local.stack import free_port
from services.triton.models import model_name
from services.triton.repository import main as write_models
from tools.local_triton import TritonServer

pytestmark = [
    pytest.mark.skipif(not (REPOSITORY / ".triton/bin/python").exists(), reason="needs `make triton-setup`"),
    pytest.mark.timeout(600),
]
BUNDLE = REPOSITORY / "models/minigrid-memory"
EPISODES, STEPS = 12, 40


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[tuple[TritonServer, TritonServer]]:
    """Neither is started."""
    folder = tmp_path_factory.mktemp("servers")
    write_models([str(BUNDLE), "--out", str(folder / "repository"), "--parts", "act"])
    environment = REPOSITORY / ".triton"
    one, other = (
        TritonServer(folder / "repository", port=free_port(), folder=folder / name, environment=environment)
        for name in ("one", "other")
    )
    try:
        yield one, other
    finally:
        one.stop()
        other.stop()


@pytest.fixture
def target(servers: tuple[TritonServer, TritonServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Policy alone, which knows both servers; the first one runs."""
    folder, target = tmp_path_factory.mktemp("policy"), f"127.0.0.1:{free_port()}"
    redis = RedisProcess(folder)
    redis.start()
    servers[0].start()
    settings = {
        "SHELM_LISTEN": target,
        "SHELM_REDIS_URL": redis.url,
        "SHELM_ENGINE": "triton",
        "SHELM_TRITON_TARGET": ",".join(server.target for server in servers),
    }
    policy = Process([sys.executable, "-m", "services.policy"], folder / "policy.log", settings)
    try:
        with Gateway(target) as gateway:
            wait_ready(gateway, policy)
        yield target
    finally:
        policy.stop()
        redis.stop()


def acts(server: TritonServer) -> int:
    """How many Acts a server has computed in this life."""
    with tritongrpc.InferenceServerClient(server.target) as client:
        (stats,) = client.get_inference_statistics(model_name("act", load_bundle(BUNDLE).digest)).model_stats
        return int(stats.inference_count)


def test_a_server_that_joins_takes_its_share_and_one_that_dies_takes_no_act_with_it(
    servers: tuple[TritonServer, TritonServer], target: str, frames: Sequence[Frame]
) -> None:
    episode_plans = plans(frames, EPISODES, STEPS)
    met, joined, dead = (threading.Barrier(EPISODES + 1) for _ in range(3))

    def play(player: Player) -> None:
        player.play(STEPS // 4)
        met.wait(300)
        joined.wait(300)
        player.play(STEPS // 2)
        dead.wait(300)
        player.play()

    with Client(target, retry_for=60) as client, ThreadPoolExecutor(EPISODES) as threads:
        expected = play_undisturbed(client, episode_plans, f"calm-{uuid.uuid4().hex}")
        players = [Player(client, f"servers-{uuid.uuid4().hex}", plan) for plan in episode_plans]
        running = [threads.submit(play, player) for player in players]
        met.wait(300)
        servers[1].start()
        warm = acts(servers[1])  # its warm-up counts
        wait_for("both are asked", lambda: _asked(client, servers[1], frames[0], warm), seconds=60)
        before = [acts(server) for server in servers]
        joined.wait(300)
        dead.wait(300)
        grown = [acts(server) - count for server, count in zip(servers, before, strict=True)]
        assert min(grown) > STEPS // 4, "an episode of its own, all its steps"
        servers[0].kill()
        for one in running:
            one.result(300)
        for player, outcomes in zip(players, expected, strict=True):
            player.check(outcomes)
    rebuilt = sum(act.memory.rebuilt for player in players for act in player.acts)
    assert 0 < rebuilt <= 2 * EPISODES, "a rebuild at most where an episode moves"


def _asked(client: Client, server: TritonServer, frame: Frame, since: int) -> bool:
    client.act(frame, f"probe-{uuid.uuid4().hex}")
    return acts(server) > since
