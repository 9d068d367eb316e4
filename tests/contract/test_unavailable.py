"""What happens while Redis, retrieval or memory is away, and that everything goes on by itself when it is back."""

import os
import signal
from collections.abc import Sequence

import pytest
from support.deployment import Deployment, Standalone
from support.errors import Code, Refusal, refused
from support.frames import Frame
from support.gateway import lines, play
from support.waiting import wait_for
from support.ways import ASKING

SERVICE = "shelm.v1.AgentService"


def check_says_when_to_retry(refusal: Refusal, *reasons: str) -> None:
    assert refusal.kind in [(Code.UNAVAILABLE, reason) for reason in reasons]
    assert refusal.retry_after is not None
    assert 0 < refusal.retry_after <= 10
    assert refusal.pushback == str(int(refusal.retry_after * 1000))


def test_while_redis_does_not_answer_acts_are_unavailable_and_health_says_so(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway = deployment.gateway
    answers = play(gateway, name, frames[:3])
    before = deployment.pids()
    with deployment.redis_paused():
        check_says_when_to_retry(refused(lambda: gateway.act(name, 3, frames[3])), "STORE_UNAVAILABLE")
        check_says_when_to_retry(refused(lambda: gateway.episode(name)), "STORE_UNAVAILABLE")
        for service in ("", SERVICE):
            wait_for("health says NOT_SERVING", lambda service=service: not gateway.serving(service), seconds=20)  # type: ignore[misc]
    for service in ("", SERVICE):
        wait_for("health says SERVING", lambda service=service: gateway.serving(service), seconds=20)  # type: ignore[misc]
    answers.append(gateway.act(name, 3, frames[3]))
    assert lines(gateway.memory(name)) == lines(answers)
    assert deployment.pids() == before


def test_redis_may_die_and_return_without_a_restart_of_the_service(
    cramped: Standalone, name: str, frames: Sequence[Frame]
) -> None:
    gateway, service = cramped.gateway, cramped.pids()["standalone"]
    answers = play(gateway, name, frames[:3])
    cramped.redis_process.process.kill()
    check_says_when_to_retry(refused(lambda: gateway.act(name, 3, frames[3])), "STORE_UNAVAILABLE")
    wait_for("health says NOT_SERVING", lambda: not gateway.serving() and not gateway.serving(SERVICE), seconds=20)
    cramped.redis_process.start()
    wait_for("health says SERVING", lambda: gateway.serving() and gateway.serving(SERVICE), seconds=20)
    assert lines(gateway.memory(name)) == lines(answers)  # acknowledged means kept
    assert gateway.act(name, 3, frames[3]).memory.length == 4
    assert cramped.pids()["standalone"] == service


@pytest.mark.parametrize(
    ("setting", "bad", "good", "reason"),
    [
        ("maxmemory-policy", "allkeys-lru", "noeviction", "allkeys-lru"),
        ("maxmemory", "1", "0", "used memory"),
        ("min-replicas-to-write", "1", "0", "replicas"),
    ],
)
def test_a_redis_that_cannot_commit_or_may_evict_is_not_ready_and_the_log_says_why(
    cramped: Standalone, setting: str, bad: str, good: str, reason: str
) -> None:
    with cramped.redis() as client:
        client.config_set(setting, bad)
        try:
            wait_for("health says NOT_SERVING", lambda: not cramped.gateway.serving(SERVICE), seconds=20)
            assert reason in cramped.logs()
        finally:
            client.config_set(setting, good)
    wait_for("health says SERVING", lambda: cramped.gateway.serving(SERVICE), seconds=20)


@pytest.mark.parametrize("deployment", ASKING, indirect=True)
@pytest.mark.parametrize("part", ["retrieval", "memory"])
def test_while_a_model_service_is_away_acts_are_unavailable_and_then_go_on(
    deployment: Deployment, name: str, frames: Sequence[Frame], part: str
) -> None:
    before = deployment.pids()
    gateway = deployment.gateway
    undisturbed = play(gateway, f"{name}:alone", frames[:6], deterministic=True, seed=1)
    answers = play(gateway, name, frames[:5], deterministic=True, seed=1)
    os.kill(before[part], signal.SIGKILL)
    unseen = 255 - frames[5]  # policy keeps the words of frames that it has seen
    refusal = refused(lambda: gateway.act(name, 5, unseen))
    # The second where the call had begun when policy noticed: a health check may come first.
    check_says_when_to_retry(refusal, f"{part.upper()}_UNAVAILABLE", "REPLICA_AWAY")
    assert gateway.act(name, 4, frames[4]).replayed  # what is committed needs no model
    assert len(gateway.memory(name)) == 5
    wait_for(f"{part} is away", lambda: not gateway.serving(), seconds=20)
    wait_for(f"{part} is back", gateway.serving, seconds=120)
    assert deployment.pids()[part] != before[part]
    answers.append(gateway.act(name, 5, frames[5]))
    assert lines(answers) == lines(undisturbed)
    assert answers[-1].memory.rebuilt == (part == "memory")
    assert deployment.pids()["policy"] == before["policy"]
