"""Two replicas on one Redis: races, requests twice, late or all at once, names that begin anew, rolling restarts."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from faults_episodes import Outcome, Player, check_same, outcome_of, plans, play_undisturbed
from faults_replicas import RETRY_SECONDS, Replica
from shelm import Client
from shelm.convert import act_from
from support.deployment import RedisProcess
from support.frames import Frame
from support.gateway import act_request, stored

pytest_plugins = ("faults_fixtures",)
pytestmark = pytest.mark.timeout(240)

Both = tuple[Replica, Replica]
STEPS = 40  # more than the agent's window of 32
CLIENTS = 16
RESTARTS = 2 if "FAULT_HITS" in os.environ else 1  # of each replica; `make test-faults` wants more


@pytest.fixture(scope="module")
def undisturbed(replicas: Both, frames: Sequence[Frame]) -> list[list[Outcome]]:
    """What comes of the plans when one client plays each at one replica."""
    with replicas[0].client() as client:
        return play_undisturbed(client, plans(frames, 4, STEPS), "undisturbed")


def test_two_clients_that_race_through_one_episode_get_the_same_answers_and_it_has_each_step_once(
    replicas: Both, frames: Sequence[Frame], undisturbed: list[list[Outcome]], name: str
) -> None:
    plan = plans(frames, 4, STEPS)[1]
    start = threading.Barrier(4)
    with ThreadPoolExecutor(4) as threads:

        def race(number: int) -> Player:
            with replicas[number % 2].client() as client:
                player = Player(client, name, plan)
                start.wait(30)
                return player.play()

        players = list(threads.map(race, range(4)))
    for player in players:
        check_same(player.outcomes, undisturbed[1])
    with replicas[0].client() as client:
        players[0].client = client
        players[0].check(undisturbed[1])
    assert any(act.replayed for player in players for act in player.acts)


def test_requests_that_come_twice_or_long_after_their_time_change_nothing(
    replicas: Both, frames: Sequence[Frame], undisturbed: list[list[Outcome]], name: str
) -> None:
    """Each step is sent by several at once, to both replicas, among earlier ones in any order."""
    plan, draw = plans(frames, 4, STEPS)[3], random.Random("late and twice")
    with replicas[0].client() as client, ThreadPoolExecutor(8) as threads:
        player = Player(client, name, plan)
        for step in range(STEPS):
            sent = [step, step, *(draw.randrange(step + 1) for _ in range(3))]
            draw.shuffle(sent)
            requests = [(draw.choice(replicas), one) for one in sent]
            answers = threads.map(lambda of: of[0].gateway.act(name, of[1], plan.frames[of[1]]), requests)
            by_step: dict[int, list[Any]] = {}
            for answer in answers:
                by_step.setdefault(answer.step, []).append(answer)
            assert sorted(by_step) == sorted(set(sent))
            for same in by_step.values():
                assert all(stored(one) == stored(same[0]) for one in same)
            player.outcomes.append(outcome_of(act_from(by_step[step][0])))
        player.check(undisturbed[3])


def test_a_whole_episode_that_is_sent_at_once_with_every_step_twice_is_taken_in_its_order(
    replicas: Both, frames: Sequence[Frame], undisturbed: list[list[Outcome]], name: str
) -> None:
    plan = plans(frames, 4, STEPS)[1]
    with replicas[1].client() as client:
        player = Player(client, name, plan)
        requests = [act_request(name, step, frame) for step, frame in enumerate(plan.frames) for _ in range(2)]
        answers = [one.response for one in replicas[1].gateway.act_stream(requests)]
        assert [answer.replayed for answer in answers] == [False, True] * STEPS
        player.outcomes = [outcome_of(act_from(answer)) for answer in answers[::2]]
        player.check(undisturbed[1])


def test_a_name_that_begins_anew_at_one_replica_goes_on_at_the_other_from_what_is_stored(
    replicas: Both, replica_redis: RedisProcess, frames: Sequence[Frame], undisturbed: list[list[Outcome]], name: str
) -> None:
    """What the first replica remembers of the first life must not get into the second."""
    first, second = plans(frames, 4, STEPS)[1], plans(frames, 4, STEPS)[3]
    with replicas[0].client() as client, replicas[1].client() as other:
        Player(client, name, first).play(10)
        with redis.Redis.from_url(replica_redis.url) as store:
            store.flushall()  # as if it had expired
        player = Player(other, name, second).play(10)
        client.resume(name)
        player.client = client
        player.play()
        player.check(undisturbed[3])


def test_a_rolling_restart_under_load_hurts_no_episode(
    replicas: Both, frames: Sequence[Frame], undisturbed: list[list[Outcome]], name: str, errors_met: Counter[Any]
) -> None:
    """Every replica in turn gets SIGTERM; its clients go on at the other one."""
    over, episodes = threading.Event(), plans(frames, 4, STEPS)
    places = ",".join(replica.target for replica in replicas)

    def play(number: int) -> int:
        count = 0
        with Client(f"ipv4:{places}", retry_for=RETRY_SECONDS) as client:
            while not over.is_set():
                count += 1
                player = Player(client, f"{name}-{number}-{count}", episodes[number % 4])
                player.play(12).check(undisturbed[number % 4][:12])
        return count

    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(play, number) for number in range(CLIENTS)]
        try:
            for replica in replicas * RESTARTS:
                time.sleep(1)
                replica.wait_next_life(replica.signal(signal.SIGTERM))
        finally:
            over.set()
        assert all(one.result(120) for one in running)
    assert errors_met["UNAVAILABLE", "SERVER_STOPPING"], "not one call met a stopping replica"
    assert not [kind for kind in errors_met if kind[0] == "CANCELLED"]
