"""Eight episodes at once while services, Redis included, are killed at random for a while."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from faults_episodes import Outcome, Plan, Player
from faults_serve import SERVICES, Serve

pytest_plugins = ("faults_fixtures",)
pytestmark = pytest.mark.timeout(280)

TERROR_SECONDS = 20.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 4.0
LEAST_KILLS = 5


@pytest.mark.long
def test_concurrent_episodes_end_as_undisturbed_while_services_are_killed_at_random(
    serve: Serve, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    over = threading.Event()
    with serve.client() as client, ThreadPoolExecutor(len(episode_plans)) as threads:

        def play(number: int) -> list[Player]:
            """Whole episodes, one after the other, until the killing is over."""
            played: list[Player] = []
            while not (over.is_set() and played):
                played.append(Player(client, f"{name}-{number}-{len(played)}", episode_plans[number]).play())
            return played

        running = [threads.submit(play, number) for number in range(len(episode_plans))]
        try:
            kills = kill_at_random(serve)
        finally:
            over.set()
        everything = [one.result(200) for one in running]
        assert kills >= LEAST_KILLS
        for number, played in enumerate(everything):
            for player in played:
                player.check(undisturbed[number])


def kill_at_random(serve: Serve) -> int:
    """Kills for some seconds; returns how often."""
    draw = random.Random("at random")
    end, kills = time.monotonic() + TERROR_SECONDS, 0
    while time.monotonic() < end:
        time.sleep(draw.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))
        serve.kill(draw.choice(SERVICES))
        kills += 1
    return kills
