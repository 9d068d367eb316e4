"""The overlay cells: a real Envoy with the configuration that we ship, before servers with a Redis each.

Two cells in place of four: the others are left out of the ring, and addresses are replaced.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import pytest
from shelm import Act, Client, ShelmError
from shelm.errors import EpisodeNotFound, Unavailable
from support import envoy
from support.deployment import RedisProcess
from support.frames import Frame
from support.gateway import serving
from support.process import REPOSITORY
from support.server import Server
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(240)
K8S = REPOSITORY / "deploy/k8s"
FILES = [
    K8S / "components/proxy/envoy.yaml",
    K8S / "overlays/cells/proxy/routes.yaml",
    K8S / "overlays/cells/proxy/clusters.yaml",
]
Both = tuple[Server, Server]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Both]:
    stores = [RedisProcess(tmp_path_factory.mktemp("store")) for _ in range(2)]
    for store in stores:
        store.start()
    first, second = (Server(tmp_path_factory.mktemp("cell"), store.url) for store in stores)
    try:
        yield first.wait(), second.wait()
    finally:
        for server in (first, second):
            server.process.stop()
        for store in stores:
            store.stop()


@pytest.fixture(scope="module")
def proxy(cells: Both, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    places = {"cell-0:50051": [cells[0].target], "cell-1:50051": [cells[1].target], "cell-2:50051": [], "cell-3:50051": []}
    with envoy.running(FILES, places, tmp_path_factory.mktemp("envoy")) as one:
        with grpc.insecure_channel(one.target) as channel:
            wait_for("the proxy passes on", lambda: serving(channel))
        yield one.target


def knows(server: Server, name: str) -> bool:
    with Client(server.target) as client:
        try:
            client.get_episode(name)
        except EpisodeNotFound:
            return False
        return True


def begun_at(client: Client, cell: Server, frame: Frame) -> str:
    """Begins episodes until one lives in this cell."""
    for _ in range(100):
        name = f"cell-{uuid.uuid4().hex}"
        client.act(frame, name)
        if knows(cell, name):
            return name
    raise AssertionError("no episode came to it")


def test_an_episode_lives_in_one_cell_and_waits_for_it(cells: Both, proxy: str, frames: Sequence[Frame]) -> None:
    with Client(proxy, retry_for=60) as client, Client(proxy, retry_for=0) as impatient:
        names = [begun_at(client, cell, frames[0]) for cell in cells]
        assert [[knows(cell, name) for cell in cells] for name in names] == [[True, False], [False, True]]
        cells[0].kill()
        with pytest.raises(Unavailable):
            impatient.act(frames[1], names[0])
        assert client.act(frames[1], names[1]).step == 1
        cells[0].start()
        assert client.act(frames[1], names[0]).step == 1  # its Redis had kept it
        assert [step.step for step in client.memory(names[0])] == [0, 1]
        assert not knows(cells[1], names[0])


def test_calls_that_would_reach_a_wrong_cell_are_refused_and_batches_go_to_a_cell_itself(
    cells: Both, proxy: str, frames: Sequence[Frame]
) -> None:
    names = [f"batch-{uuid.uuid4().hex}" for _ in range(4)]
    with Client(proxy) as client:
        assert [agent.name for agent in client.agents()] == ["minigrid-memory"]
        client.ping()
        for refused in (lambda: client.act_batch(dict.fromkeys(names, frames[0])), lambda: list(client.list_episodes())):
            began = time.monotonic()
            with pytest.raises(ShelmError, match="shelm-episode"):
                refused()
            assert time.monotonic() - began < 5, "it is no error that a retry helps"
        assert type(client.act_batch({names[0]: frames[0]})[names[0]]) is Act
    with Client(cells[1].target) as client:
        assert {type(one) for one in client.act_batch(dict.fromkeys(names, frames[0])).values()} == {Act}


def test_an_episode_that_a_resized_ring_moves_is_unknown_in_its_new_cell(
    cells: Both, proxy: str, tmp_path: Path, frames: Sequence[Frame]
) -> None:
    """Why the number of cells is changed only while no episode runs: docs/deploy.md."""
    with Client(proxy) as client:
        name = begun_at(client, cells[0], frames[0])
    places = {f"cell-{i}:50051": [cells[1].target] if i == 1 else [] for i in range(4)}
    with envoy.running(FILES, places, tmp_path) as smaller, Client(smaller.target, retry_for=5) as client:
        wait_for("the proxy passes on", lambda: client.ping() > 0)
        with pytest.raises(EpisodeNotFound):
            client.act(frames[1], name, step=1)
