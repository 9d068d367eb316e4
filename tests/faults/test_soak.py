"""A short `make soak`: it goes well, and it would notice if it did not."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from faults_episodes import Outcome, Plan, Player
from faults_serve import SERVICES, Serve
from soak import Tally, compare, soak, violations

pytest_plugins = ("faults_fixtures",)
pytestmark = pytest.mark.timeout(240)


def test_a_short_soak_ends_every_episode_and_loses_nothing(serve: Serve) -> None:
    what = {"kinds": ["kill", "silence", "stop"], "services": list(SERVICES)}
    found = soak(Namespace(seconds=8.0, episodes=8, steps=12, every=2.0, seed=1, **what), serve)
    assert violations(found) == []
    assert found["episodes"]["ended"] >= 8
    assert sum(found["attacks"].values()) >= 3


@pytest.mark.parametrize("change", ["words", "action", "numbers"])
def test_a_step_that_differs_is_counted(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str, change: str
) -> None:
    wrong: dict[str, Any] = {"words": ((0, "nothing"),), "action": -1, "numbers": (9.0,) * len(undisturbed[0][0].numbers)}
    with serve.client() as client:
        player, tally = Player(client, name, episode_plans[0]).play(3), Tally()
        expected: Sequence[Outcome] = undisturbed[0][:3]
        compare(player, [*expected[:2], replace(expected[2], **{change: wrong[change]})], tally)
    assert (tally.lost, tally.doubled, tally.differing) == (0, 0, 1 if change == "numbers" else 2)


def test_a_step_that_is_missing_or_too_many_is_counted(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    with serve.client() as client:
        player = Player(client, name, episode_plans[0]).play(3)
        player.outcomes.append(player.outcomes[-1])
        tally = Tally()
        compare(player, undisturbed[0][:4], tally)
        assert tally.lost == 1
        player.outcomes = player.outcomes[:2]
        compare(player, undisturbed[0][:2], tally)
        assert tally.doubled == 1


@pytest.mark.parametrize(("failovers", "wrong"), [(0, ["no replica took over"]), (1, [])])
def test_a_cluster_in_which_no_replica_took_over_shows_nothing(failovers: int, wrong: list[str]) -> None:
    none = {"lost": 0, "doubled": 0, "differing": 0}
    episodes = {"ended": 1, "failed": 0, "unfinished": 0}
    assert violations({"steps": none, "episodes": episodes, "cluster": {"failovers": failovers}}) == wrong
