"""The connection breaks during an Act, before or after the server has committed the step."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from faults_episodes import Outcome, Plan, Player
from faults_relay import Relay, relay_to
from faults_serve import Serve
from shelm import Client
from shelm.errors import EpisodeNotFound
from support.waiting import wait_for

pytest_plugins = ("faults_fixtures",)
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def relay(serve: Serve) -> Iterator[Relay]:
    """A relay to the public API."""
    with relay_to(serve.target) as relay:
        yield relay


@pytest.fixture
def direct(serve: Serve) -> Iterator[Client]:
    """A client that does not go through the relay."""
    with serve.client() as client:
        yield client


@pytest.mark.parametrize("lost", [0, 1, 40])
def test_a_reply_that_was_lost_is_asked_for_again_and_nothing_is_remembered_twice(
    direct: Client, relay: Relay, episode_plans: list[Plan], undisturbed: list[list[Outcome]], lost: int
) -> None:
    name = f"lost:{uuid.uuid4().hex}"
    with Client(relay.target, retry_for=60) as client, ThreadPoolExecutor(1) as threads:
        player = Player(client, name, episode_plans[1]).play(lost)
        relay.lose_replies()
        act = threads.submit(player.act)
        wait_for("the step is committed", lambda: direct.get_episode(name).committed_step == lost)
        wait_for("its reply is lost", lambda: relay.lost)
        assert not act.done()
        relay.cut()
        assert act.result(60).replayed
        assert len(list(direct.memory(name))) == lost + 1
        player.play().check(undisturbed[1])
        assert [act.step for act in player.acts if act.replayed] == [lost]


def test_a_request_that_was_lost_is_sent_again_and_is_the_first_that_the_server_sees(
    direct: Client, relay: Relay, episode_plans: list[Plan], undisturbed: list[list[Outcome]], name: str
) -> None:
    with Client(relay.target, retry_for=60) as client, ThreadPoolExecutor(1) as threads:
        player = Player(client, name, episode_plans[0]).play(5)
        relay.lose_requests()
        act = threads.submit(player.act)
        wait_for("the request is lost", lambda: relay.lost)
        assert direct.get_episode(name).committed_step == 4
        relay.cut()
        assert not act.result(60).replayed
        player.play(12).check(undisturbed[0][:12])


def test_the_reply_to_the_step_that_creates_the_episode_may_be_lost(
    direct: Client, relay: Relay, episode_plans: list[Plan], name: str
) -> None:
    frame = episode_plans[0].frames[0]
    with Client(relay.target, retry_for=60) as client, ThreadPoolExecutor(1) as threads:
        client.ping()
        relay.lose_replies()
        act = threads.submit(client.act, frame, name)

        def committed() -> bool:
            try:
                return direct.get_episode(name).committed_step == 0
            except EpisodeNotFound:
                return False

        wait_for("the step is committed", committed)
        relay.cut()
        assert act.result(60).replayed
        assert [step.action for step in direct.memory(name)] == [act.result().action]
