"""`kill -9` of retrieval, memory and policy, one after the other and all with Redis, while episodes are running.

Everything is compared with the same episodes undisturbed: words and actions are equal, no step is lost or doubled.
"""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from faults_episodes import Outcome, Plan, Player, outcome_of
from faults_fire import EPISODES, act_under_fire
from faults_serve import MODELS, SERVICES, Serve
from shelm import Act, ShelmError

pytest_plugins = ("faults_fixtures",)
pytestmark = pytest.mark.timeout(240)

# Kills of each service; each hits an Act of four episodes at different moments. `make test-faults` wants more.
IN_FLIGHT_ROUNDS = 3 if "FAULT_HITS" in os.environ else 2


def test_episodes_go_on_after_each_service_was_killed_between_two_steps(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    """One deterministic episode and one with drawn actions, side by side."""
    with serve.client() as client:
        players = [Player(client, f"{name}-{i}", plan) for i, plan in enumerate(episode_plans[:2])]
        for stop, service in zip((1, 10, 40), ("policy", "memory", "retrieval"), strict=True):
            for player in players:
                player.play(stop)
            serve.wait_new_pid(service, serve.kill(service))
        for player, expected in zip(players, undisturbed, strict=False):
            player.play().check(expected)
            assert player.acts[10].memory.rebuilt


@pytest.mark.parametrize("service", MODELS)
def test_episodes_go_on_after_a_service_was_killed_in_the_middle_of_an_act(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str, service: str
) -> None:
    draw, disturbed = random.Random(f"in flight {service}"), 0
    with serve.client() as client, ThreadPoolExecutor(EPISODES) as threads:
        players = [Player(client, f"{name}-{i}", plan) for i, plan in enumerate(episode_plans[:EPISODES])]
        for stop in sorted(draw.sample(range(1, 47), IN_FLIGHT_ROUNDS)):
            list(threads.map(lambda player, stop=stop: player.play(stop), players))
            disturbed += act_under_fire(serve, service, players, draw)
        list(threads.map(Player.play, players))
        for player, expected in zip(players, undisturbed, strict=False):
            player.check(expected)
    assert disturbed, "not one Act noticed: the service was not killed in the middle of one"


@pytest.mark.parametrize("service", ["policy", "memory"])
def test_a_batch_whose_service_is_killed_commits_each_item_once(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str, service: str
) -> None:
    plans, draw, lost = episode_plans[:EPISODES], random.Random(f"batch {service}"), 0
    with serve.client(retry_for=0) as hasty, serve.client() as client, ThreadPoolExecutor(1) as threads:
        players = [Player(client, f"{name}-{i}", plan) for i, plan in enumerate(plans)]
        for step in range(12):
            frames = {player.name: player.frame for player in players}
            if step % 4 == 3:
                batch = threads.submit(hasty.act_batch, frames)
                time.sleep(draw.uniform(0, 0.02))
                serve.kill(service)
                lost += bool(batch.exception()) or any(isinstance(one, ShelmError) for one in batch.result().values())
                serve.wait_serving()
            answers = client.act_batch(frames)  # the same step again where the batch was lost
            for player in players:
                answer = answers[player.name]
                assert isinstance(answer, Act)
                player.outcomes.append(outcome_of(answer))
        for player, expected in zip(players, undisturbed, strict=False):
            player.check(expected[:12])
    assert lost, "not one batch noticed"


def test_episode_goes_on_after_everything_was_killed_at_once(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    with serve.client() as client:
        player = Player(client, name, episode_plans[1]).play(40)
        before = {service: serve.kill(service) for service in SERVICES}
        player.play().check(undisturbed[1])
        assert player.acts[40].memory.rebuilt
    after = serve.pids()
    assert all(after[service] != before[service] for service in SERVICES)


def test_a_killed_service_has_a_new_pid_in_its_pid_file_and_the_others_keep_theirs(serve: Serve) -> None:
    before = serve.pids()
    serve.wait_new_pid("policy", serve.kill("policy"))
    serve.wait_serving()
    after = serve.pids()
    assert after.pop("policy") != before.pop("policy")
    assert after == before
