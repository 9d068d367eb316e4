"""A replica of a Redis Cluster takes over: with SHELM_REDIS_REPLICAS no answered step is lost, without it some can be."""

import os
import signal
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults_cluster import RestartedCluster, clustered
from faults_serve import SERVICES, serving
from soak import soak, violations
from support.stored import TTL, commit, with_steps
from support.waiting import wait_for

from services.runtime.errors import ServiceError
from services.store.episodes import Committed, EpisodeStore
from services.store.keys import episode_key
from services.store.redis import connect_redis

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]
STEPS = 5  # before the failover


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RestartedCluster]:
    with clustered(tmp_path / "cluster") as running:
        yield running


def of_key(cluster: RestartedCluster, key: str) -> tuple[int, int]:
    """Numbers of the primary and of the replica that hold a key."""
    client: Any = cluster.processes.node(0)
    slot, shards = (client.execute_command("CLUSTER", *words) for words in (("KEYSLOT", key), ("SLOTS",)))
    primary, replica = next(nodes[:2] for first, last, *nodes in shards if first <= slot <= last)
    return cluster.processes.ports.index(primary[1]), cluster.processes.ports.index(replica[1])


def cut_off(cluster: RestartedCluster, primary: int, replica: int) -> None:
    """The replica follows no more, because it has the wrong password for its primary."""
    with cluster.processes.node(replica) as client:
        client.config_set("primaryauth" if "primaryauth" in client.config_get("primaryauth") else "masterauth", "wrong")
    with cluster.processes.node(primary) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        wait_for("it has no replica", lambda: not client.info("replication")["connected_slaves"])


@pytest.mark.parametrize("replicas", [0, 1])
async def test_a_step_that_its_replica_has_not_got_is_lost_with_the_primary_and_was_answered_only_without_waiting(
    cluster: RestartedCluster, replicas: int
) -> None:
    client = connect_redis(cluster.processes.url, timeout=2)
    state = await with_steps(EpisodeStore(client, ttl=TTL, retained=100, replicas=replicas, replica_wait=10), STEPS)
    store = EpisodeStore(client, ttl=TTL, retained=100, replicas=replicas, replica_wait=0.3)
    primary, replica = of_key(cluster, episode_key("episode"))
    cut_off(cluster, primary, replica)
    if replicas:
        with pytest.raises(ServiceError) as caught:
            await commit(store, state, STEPS)
        assert caught.value.reason == "STORE_UNAVAILABLE"
    else:
        assert (await commit(store, state, STEPS))[0] == Committed()
    await client.aclose()
    cluster.held_away.add(primary)
    os.kill(cluster.pid(cluster.nodes[primary]), signal.SIGKILL)
    wait_for("the replica has taken over", lambda: cluster.failovers() >= 1)
    client = connect_redis(cluster.processes.url_at(replica), timeout=2)
    found, _ = await EpisodeStore(client, ttl=TTL, retained=100).read("episode")
    await client.aclose()
    assert found is not None
    assert found.committed == STEPS - 1


def test_a_short_soak_with_failovers_ends_every_episode_and_loses_nothing(tmp_path: Path) -> None:
    with clustered(tmp_path / "cluster") as cluster, serving(tmp_path / "run", **cluster.settings) as serve:
        what = {"kinds": ["kill"], "services": list(SERVICES)}
        found = soak(Namespace(seconds=30.0, episodes=8, steps=24, every=3.0, seed=0, **what), serve, cluster)
    assert violations(found) == []
    assert found["episodes"]["ended"] >= 8
