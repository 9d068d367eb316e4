"""What the client repeats, when, and for how long, against the stand-in server of support/stand_in.py."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from shelm import Act, Client, Discrete, ShelmError, errors
from support.stand_in import Failure, StandIn, frame, serving

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def target(stand_in: StandIn) -> Iterator[str]:
    with serving(stand_in) as target:
        yield target


@pytest.fixture
def client(target: str) -> Iterator[Client]:
    with Client(target, retry_for=5.0) as client:
        yield client


def test_a_lost_reply_is_asked_for_again_and_counted_once(client: Client, stand_in: StandIn) -> None:
    stand_in.after["Act"].append(UNAVAILABLE)  # committed, but the client never heard of it
    first, second = client.act(frame(0), "a"), client.act(frame(1), "a")
    assert (first.step, first.replayed, first.timing) == (0, True, None)
    assert (second.step, second.replayed) == (1, False)
    assert [(r.step, r.observation.data) for r in stand_in.requests["Act"]] == [
        (step, frame(step).tobytes()) for step in (0, 0, 1)
    ]


def test_after_an_error_the_same_frame_is_the_same_step(target: str, stand_in: StandIn) -> None:
    stand_in.after["Act"].append(UNAVAILABLE)
    with Client(target, retry_for=0) as client:
        with pytest.raises(errors.Unavailable):
            client.act(frame(0), "a")
        assert client.act(frame(0), "a").replayed
        assert client.act(frame(1), "a").step == 1
    assert len(stand_in.committed["a"]) == 2


@pytest.mark.parametrize("code", [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ABORTED, grpc.StatusCode.INTERNAL])
def test_an_error_that_repeating_cannot_change_is_not_retried(
    client: Client, stand_in: StandIn, code: grpc.StatusCode
) -> None:
    stand_in.before["Act"].append(Failure(code, "STEP_GAP" if code is grpc.StatusCode.FAILED_PRECONDITION else ""))
    with pytest.raises(ShelmError) as caught:
        client.act(frame(0), "a")
    assert (caught.value.code, caught.value.attempts, len(stand_in.requests["Act"])) == (code, 1, 1)


def test_a_transient_commit_conflict_is_retried(client: Client, stand_in: StandIn) -> None:
    stand_in.before["Act"].append(Failure(grpc.StatusCode.ABORTED, "COMMIT_CONFLICT"))
    assert client.act(frame(0), "a").step == 0


@pytest.mark.parametrize("wish", [{"pushback": "400"}, {"retry_after": 0.4, "reason": "QUEUE_FULL"}])
def test_the_wait_that_the_server_asks_for_is_honoured(client: Client, stand_in: StandIn, wish: dict[str, str]) -> None:
    stand_in.before["Act"].append(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, **wish))  # type: ignore[arg-type]
    began = time.monotonic()
    client.act(frame(0), "a")
    assert 0.4 <= time.monotonic() - began < 2.0


def test_a_negative_pushback_forbids_a_retry(client: Client, stand_in: StandIn) -> None:
    stand_in.before["Act"].append(Failure(grpc.StatusCode.UNAVAILABLE, pushback="-1"))
    with pytest.raises(errors.Unavailable):
        client.act(frame(0), "a")


def test_retries_end_with_the_budget(target: str, stand_in: StandIn) -> None:
    stand_in.before["Act"].extend([UNAVAILABLE] * 100)
    began = time.monotonic()
    with Client(target, retry_for=0.5) as client, pytest.raises(errors.Unavailable, match=r"after [2-9] attempts"):
        client.act(frame(0), "a")
    assert time.monotonic() - began < 1.0


def test_a_server_that_comes_back_is_found_again(stand_in: StandIn) -> None:
    with serving(stand_in) as target:
        pass
    with Client(target, retry_for=20.0) as client, ThreadPoolExecutor(1) as pool:
        act = pool.submit(client.act, frame(0), "a")
        time.sleep(0.7)  # several attempts find nobody
        with serving(stand_in, int(target.rsplit(":", 1)[1])):
            assert act.result(timeout=10.0).step == 0


def test_a_slow_episode_does_not_hold_up_another(client: Client, stand_in: StandIn) -> None:
    stand_in.before["Act"].append(Failure(grpc.StatusCode.UNAVAILABLE, pushback="2000"))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.act, frame(0), "slow")
        while not stand_in.requests["Act"]:
            time.sleep(0.01)
        assert client.act(frame(0), "fast").step == 0
        assert not slow.done()
    assert slow.result().step == 0


def test_a_batch_that_fails_halfway_keeps_the_answers_it_has(client: Client, stand_in: StandIn) -> None:
    stand_in.items.append(Failure(grpc.StatusCode.UNAVAILABLE, "MEMORY_UNAVAILABLE"))
    stand_in.before["ActBatch"].extend([None, Failure(grpc.StatusCode.PERMISSION_DENIED)])
    results = client.act_batch({"good": frame(0), "unlucky": frame(0)})
    assert isinstance(results["good"], Act)
    assert isinstance(results["unlucky"], errors.PermissionDenied)


def test_a_watch_that_breaks_goes_on_at_the_next_step(client: Client, stand_in: StandIn) -> None:
    for number in range(4):
        client.act(frame(number), "a")
    stand_in.after["WatchMemory"].append(Failure(grpc.StatusCode.UNAVAILABLE))
    assert [step.step for step in client.watch_memory("a")] == [0, 1, 2, 3]
    assert [request.incarnation for request in stand_in.requests["WatchMemory"]] == ["", "first"]
    assert [request.from_step for request in stand_in.requests["WatchMemory"]] == [0, 2]


def test_reads_are_retried_too(client: Client, stand_in: StandIn) -> None:
    stand_in.before["GetAgent"].append(UNAVAILABLE)
    agent = client.agent()
    assert agent.observation_shape == (56, 56, 3)
    assert agent.action_space == Discrete(3, ("left", "right", "forward"))
    assert [agent.name for agent in client.agents()] == ["stand-in"]
