"""The simulation of where episodes live."""

import pytest

from benchmarks.scale import Cluster, added, lost, plan, upgraded_by_surge, upgraded_in_place

NAMES = [f"10.0.0.{i}:50053" for i in range(4)]


def cluster() -> Cluster:
    return Cluster(400, NAMES)


def test_every_episode_lives_at_one_replica() -> None:
    assert cluster().loads().sum() == 400
    assert (cluster().loads() > 50).all()


def test_only_those_move_that_the_change_concerns() -> None:
    one = cluster()
    first = int(one.loads()[0])
    lost(one)
    assert one.moves == first
    other = cluster()
    added(other)
    assert other.moves == other.loads()[-1]


def test_an_upgrade_in_place_moves_each_episode_away_and_back() -> None:
    one = cluster()
    before = one.homes.copy()
    upgraded_in_place(one)
    assert one.moves == 2 * 400
    assert (one.homes == before).all()


def test_an_upgrade_by_surge_ends_with_new_replicas_alone() -> None:
    one = cluster()
    upgraded_by_surge(one)
    assert one.replicas == [f"{name}-next" for name in NAMES]
    assert 400 < one.moves <= 2 * 400 + 40


def test_a_plan_grows_with_the_episodes() -> None:
    rows = plan(700.0)
    assert [row["episodes"] for row in rows] == [1_000, 10_000, 100_000, 1_000_000]
    assert rows[1]["cores"] == pytest.approx(10 * rows[0]["cores"], rel=0.02)
    assert rows[0]["aof_bytes_per_second"] == 700_000
