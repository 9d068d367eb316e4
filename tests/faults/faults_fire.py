"""Kills a service while several episodes are in the middle of an Act, each at another moment of it."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from faults_episodes import Player
from faults_serve import Serve

EPISODES = 4
ACT_SECONDS = 0.03  # about what an Act takes when four run at once
DISTURBED = 0.2  # seconds; an Act that takes longer was repeated


def act_under_fire(serve: Serve, service: str, players: list[Player], draw: random.Random) -> int:
    """Every player takes one step; the service is killed while they do. Returns how many Acts were disturbed."""
    start = threading.Barrier(len(players) + 1)

    def act(player: Player, delay: float) -> float:
        start.wait(10)
        time.sleep(delay)
        began = time.monotonic()
        player.act()
        return time.monotonic() - began

    with ThreadPoolExecutor(len(players)) as threads:
        running = [threads.submit(act, player, draw.uniform(0, ACT_SECONDS)) for player in players]
        start.wait(10)
        time.sleep(draw.uniform(0, ACT_SECONDS))
        old = serve.kill(service)
        disturbed = sum(one.result(180) > DISTURBED for one in running)
    serve.wait_new_pid(service, old)
    serve.wait_serving()
    return disturbed
