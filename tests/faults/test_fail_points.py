"""The server dies between computing, committing and answering, at each place: no step is lost, doubled or other."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from faults_episodes import Player, plans, play_undisturbed
from faults_replicas import Replica
from support.frames import Frame

pytest_plugins = ("faults_fixtures",)
pytestmark = pytest.mark.timeout(280)

HITS = int(os.environ.get("FAULT_HITS", "2"))  # of each point; `make test-faults` wants 20
PLAYERS = 4


@pytest.mark.parametrize("point", ["computed", "committing", "committed", "answered"])
def test_episodes_end_as_undisturbed_although_the_server_dies_at_a_point(
    replicas: tuple[Replica, Replica], frames: Sequence[Frame], name: str, point: str
) -> None:
    replica, other = replicas
    episodes = plans(frames, PLAYERS, 40)
    with other.client() as direct:
        undisturbed = play_undisturbed(direct, episodes, f"{name}-undisturbed")
    before = replica.deaths(point)
    replica.arm(point)
    try:
        with ThreadPoolExecutor(PLAYERS) as threads, replica.client() as client:

            def enough(_step: int = 0) -> bool:
                """Whether the point has been hit often enough; then it is not hit any more."""
                if replica.deaths(point) - before < HITS:
                    return False
                replica.disarm()
                return True

            def play(number: int) -> list[Player]:
                """The plan again and again until then."""
                played: list[Player] = []
                while not (enough() and played):
                    again = Player(client, f"{name}-{number}-{len(played)}", episodes[number])
                    played.append(again.play(before=enough))
                return played

            everything = list(threads.map(play, range(PLAYERS)))
            for played, expected in zip(everything, undisturbed, strict=True):
                for player in played:
                    player.check(expected)
    finally:
        replica.disarm()
    replayed = sum(act.replayed for played in everything for player in played for act in player.acts)
    assert replayed or point in {"computed", "committing"}, "after a commit the answer is the stored one"
