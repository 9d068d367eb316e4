"""`kill -9` of Redis while episodes are running: nothing that was acknowledged is lost (AOF, fsync before each reply)."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from faults_episodes import Outcome, Plan, Player
from faults_fire import EPISODES, act_under_fire
from faults_serve import MODELS, Serve
from shelm.errors import Unavailable
from support.waiting import wait_for

pytest_plugins = ("faults_fixtures",)
pytestmark = pytest.mark.timeout(240)


def test_episodes_go_on_after_redis_was_killed_between_two_steps(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    """One deterministic episode and one with drawn actions, side by side."""
    with serve.client() as client:
        players = [Player(client, f"{name}-{i}", plan) for i, plan in enumerate(episode_plans[:2])]
        for stop in (1, 40):
            for player in players:
                player.play(stop)
            serve.wait_new_pid("redis", serve.kill("redis"))
        for player, expected in zip(players, undisturbed, strict=False):
            player.play().check(expected)


def test_episodes_go_on_after_redis_was_killed_in_the_middle_of_an_act(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    draw = random.Random("in flight redis")
    with serve.client() as client, ThreadPoolExecutor(EPISODES) as threads:
        players = [Player(client, f"{name}-{i}", plan) for i, plan in enumerate(episode_plans[:EPISODES])]
        for stop in (5, 33, 40):
            list(threads.map(lambda player, stop=stop: player.play(stop), players))
            act_under_fire(serve, "redis", players, draw)
        list(threads.map(Player.play, players))
        for player, expected in zip(players, undisturbed, strict=False):
            player.check(expected)


def test_while_redis_is_away_acts_are_unavailable_and_health_says_so_and_nothing_else_has_to_restart(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    others = {service: serve.pid(service) for service in MODELS}
    with serve.client() as client, serve.client(retry_for=0) as impatient:
        player = Player(client, name, episode_plans[0]).play(36)
        impatient.resume(name)
        with serve.held_down("redis"):
            for _ in range(3):
                with pytest.raises(Unavailable) as away:
                    impatient.act(player.frame, name)
                assert away.value.reason == "STORE_UNAVAILABLE"
                assert away.value.retryable
            with pytest.raises(Unavailable):
                impatient.get_episode(name)
            wait_for("health says NOT_SERVING", lambda: not serve.serving, seconds=10)
        serve.wait_serving()
        player.play().check(undisturbed[0])
    assert {service: serve.pid(service) for service in MODELS} == others


def test_a_replica_that_never_saw_the_episode_goes_on_with_what_redis_kept(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    """Policy, memory and Redis die together: only what is on the disk is left."""
    with serve.client() as client:
        player = Player(client, name, episode_plans[3]).play(33)
        for service in ("policy", "memory", "redis"):
            serve.kill(service)
        with serve.client() as other:
            assert other.resume(name) == 33
            act = player.act(other)
        assert not act.replayed
        assert act.memory.rebuilt
        assert player.client.resume(name) == 34
        player.play().check(undisturbed[3])
