"""What a caller is told when a call fails: code, reason, field, and whether waiting helps (docs/architecture.md#errors)."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from shelm.v1 import agent_pb2
from support.deployment import Deployment
from support.errors import Code, Refusal, refusal_of_call, refused, refused_item
from support.frames import Frame, raw
from support.gateway import Gateway, act_request, stored
from support.waiting import wait_for

WRONG_FIELDS = [
    ("episode_id", {"episode_id": ""}, "1..128", "0"),
    ("episode_id", {"episode_id": "x" * 129}, "1..128", "129"),
    ("episode_id", {"episode_id": "no spaces"}, "[A-Za-z0-9._:-]", "no spaces"),
    ("step", {"step": 2**53}, str(2**53 - 1), str(2**53)),
    ("observation.encoding", {"encoding": 0}, "RAW_RGB8", "0"),
    ("observation.height", {"height": 55}, "56", "55"),
    ("observation.width", {"width": 57}, "56", "57"),
    ("observation.data", {"data": bytes(9407)}, "9408", "9407"),
    ("observation.data", {"encoding": 2, "data": b"not a file"}, "PNG", "10 bytes"),
]


@pytest.mark.parametrize(("field", "changes", "expected", "given"), WRONG_FIELDS)
def test_a_wrong_field_is_named_with_the_expected_and_the_given_value(  # noqa: PLR0917
    gateway: Gateway, name: str, frames: Sequence[Frame], field: str, changes: dict[str, Any], expected: str, given: str
) -> None:
    request = act_request(name, 0, raw(frames[0]))
    for key, value in changes.items():
        setattr(request.observation if key in ("encoding", "height", "width", "data") else request, key, value)
    refusal = refused(lambda: gateway.call("Act", request))
    assert refusal.kind == (Code.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(refusal.fields) == [field]
    for text in (refusal.message, refusal.fields[field]):
        assert text.startswith(field)
        assert expected in text
        assert given in text


@pytest.mark.parametrize("agent", ["nobody", "x" * 20_000, "né"], ids=["short", "long", "not ASCII"])
def test_an_unknown_agent_is_not_found_by_any_call_that_names_one(
    gateway: Gateway, name: str, frames: Sequence[Frame], agent: str
) -> None:
    for call in (
        lambda: gateway.agent(agent),
        lambda: gateway.create(name, agent=agent),
        lambda: gateway.act(name, 0, frames[0], agent=agent),
    ):
        refusal = refused(call)
        assert (refusal.kind, list(refusal.fields)) == ((Code.NOT_FOUND, "AGENT_NOT_FOUND"), ["agent"])
    assert refused(lambda: gateway.episode(name)).code == Code.NOT_FOUND


def test_an_unknown_episode_is_not_found_by_any_call_that_reads_or_ends_one(gateway: Gateway, name: str) -> None:
    for call in (gateway.episode, gateway.memory, gateway.end, lambda name: list(gateway.watch(name))):
        refusal = refused(lambda call=call: call(name))  # type: ignore[misc]
        assert (refusal.kind, refusal.metadata) == ((Code.NOT_FOUND, "EPISODE_NOT_FOUND"), {"episode_id": name})


def test_a_method_that_does_not_exist_is_unimplemented(gateway: Gateway) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        gateway.channel.unary_unary("/shelm.v1.AgentService/Reset", None, None)(b"", timeout=10)
    error: Any = caught.value
    assert error.code() == Code.UNIMPLEMENTED


def test_a_deadline_that_is_over_commits_nothing_or_what_the_retry_replays(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    gateway.act(name, 0, frames[0])
    with pytest.raises(grpc.RpcError) as caught:
        gateway.act(name, 1, frames[1], seconds=0.0005)
    error: Any = caught.value
    assert error.code() == Code.DEADLINE_EXCEEDED
    answer = gateway.act(name, 1, frames[1])
    assert stored(gateway.act(name, 1, frames[1])) == stored(answer)
    assert [one.step for one in gateway.memory(name)] == [0, 1]


def test_deadlines_of_every_length_never_lose_or_double_a_step(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    late = 0
    for step, frame in enumerate(frames[:40]):
        try:
            gateway.act(name, step, frame, seconds=0.0005 * (1 + step))  # from hopeless to comfortable
        except grpc.RpcError as error:
            late += 1
            failure: Any = error
            assert failure.code() == Code.DEADLINE_EXCEEDED
        assert gateway.act(name, step, frame).step == step
        assert len(gateway.memory(name)) == step + 1
    assert late > 0


def test_too_many_acts_at_once_are_refused_with_the_time_to_wait(
    cramped: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway, most = cramped.gateway, 6
    names = [f"{name}:{i}" for i in range(2 * most)]
    with ThreadPoolExecutor(len(names)) as threads:
        with cramped.redis_paused():  # so that those who got in stay for a while
            acts = [threads.submit(_refusal_or_none, gateway, one, frames[0]) for one in names]
            wait_for("someone is told", lambda: any(act.done() for act in acts), seconds=20)
        refusals = {one: act.result(60) for one, act in zip(names, acts, strict=True)}
    full = [one for one in refusals.values() if one and one.kind == (Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")]
    assert 0 < len(full) <= most  # no more, because as many get in
    for refusal in full:
        assert refusal.retry_after is not None
        assert 0 < refusal.retry_after <= 10
        assert refusal.pushback == str(int(refusal.retry_after * 1000))
    # Redis may have been away for too long for some who got in.
    assert {one.reason for one in refusals.values() if one} <= {"QUEUE_FULL", "STORE_UNAVAILABLE"}
    for one, earlier in refusals.items():
        again = gateway.act(one, 0, frames[0])
        assert again.replayed or earlier
        assert len(gateway.memory(one)) == 1


def test_few_acts_wait_for_one_episode_and_no_other_episode_is_refused_for_it(
    cramped: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway, other = cramped.gateway, f"{name}:other"
    gateway.act(name, 0, frames[0])
    with ThreadPoolExecutor(6) as threads:
        with cramped.redis_paused():  # so that the one that has its turn stays for a while
            acts = [threads.submit(_refusal_or_none, gateway, name, frames[1], 1) for _ in range(5)]
            wait_for("two are told", lambda: sum(act.done() for act in acts) == 2, seconds=20)
            beside = threads.submit(_refusal_or_none, gateway, other, frames[0])
            told = [refusal for act in acts if act.done() and (refusal := act.result())]
        found = [act.result(60) for act in acts]
    assert [one.kind for one in told] == [(Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")] * 2
    assert all(one.metadata == {"episode_id": name} and one.retry_after for one in told)
    # One had its turn and two waited. Redis may have been away for too long for them.
    assert {one.reason for one in [*found, beside.result(60)] if one and one not in told} <= {"STORE_UNAVAILABLE"}
    gateway.act(name, 1, frames[1])
    assert len(gateway.memory(name)) == 2


def test_a_stream_may_hold_more_acts_of_one_episode_than_may_wait(
    cramped: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    requests = [act_request(name, step, frame) for step, frame in enumerate(frames[:20])]
    assert [one.response.step for one in cramped.gateway.act_stream(requests)] == list(range(20))


def test_too_many_listings_at_once_are_refused_with_the_time_to_wait_and_other_reads_are_not(cramped: Deployment) -> None:
    gateway, request = cramped.gateway, agent_pb2.ListEpisodesRequest()

    def listed() -> Refusal | None:
        try:
            gateway.call("ListEpisodes", request)
        except grpc.RpcError as error:
            return refusal_of_call(error)
        return None

    with ThreadPoolExecutor(3) as threads:
        with cramped.redis_paused():
            listings = [threads.submit(listed) for _ in range(3)]
            wait_for("one is told", lambda: any(one.done() for one in listings), seconds=20)
            (refusal,) = [one.result() for one in listings if one.done()]
            gateway.call("ListAgents", agent_pb2.ListAgentsRequest())
        reasons = {one.reason for listing in listings if (one := listing.result(60)) and one != refusal}
    assert refusal is not None
    assert refusal.kind == (Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")
    assert refusal.retry_after
    assert reasons <= {"STORE_UNAVAILABLE"}
    gateway.call("ListEpisodes", request)


def _refusal_or_none(gateway: Gateway, name: str, frame: Frame, step: int = 0) -> Refusal | None:
    try:
        gateway.act(name, step, frame)
    except grpc.RpcError as error:
        return refusal_of_call(error)
    return None


def test_too_many_watchers_are_refused_with_the_time_to_wait(
    cramped: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway = cramped.gateway
    gateway.act(name, 0, frames[0])
    watchers = [gateway.watch(name) for _ in range(2)]
    try:
        for watcher in watchers:
            assert next(watcher).step.step == 0
        refusal = refused(lambda: next(gateway.watch(name)))
        assert refusal.kind == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS")
        assert refusal.retry_after
        assert refusal.pushback == str(int(refusal.retry_after * 1000))
    finally:
        for watcher in watchers:
            watcher.cancel()
    wait_for("a watcher's place is free again", lambda: _can_watch(gateway, name), seconds=20)


def _can_watch(gateway: Gateway, name: str) -> bool:
    watcher = gateway.watch(name)
    try:
        return bool(next(watcher).step.step == 0)
    except grpc.RpcError:
        return False
    finally:
        watcher.cancel()


@pytest.mark.parametrize("method", ["Act", "GetEpisode", "GetMemory", "WatchMemory", "CreateEpisode", "ActBatch"])
def test_half_an_episode_is_its_own_error_and_the_log_alone_has_the_traceback(
    deployment: Deployment, name: str, frames: Sequence[Frame], method: str
) -> None:
    gateway, damaged = deployment.gateway, f"shelm:{{{name}}}:episode"
    deployment.redis().hset(damaged, "agent", "half an episode")  # what no service ever writes
    calls = {
        "Act": lambda: gateway.act(name, 0, frames[0]),
        "GetEpisode": lambda: gateway.episode(name),
        "GetMemory": lambda: gateway.memory(name),
        "WatchMemory": lambda: next(gateway.watch(name)),
        "CreateEpisode": lambda: gateway.create(name),
    }
    try:
        if method == "ActBatch":
            bad, good = gateway.act_batch([act_request(name, 0, frames[0]), act_request(f"{name}:good", 0, frames[0])])
            refusal = refused_item(bad)
            assert good.response.episode_id == f"{name}:good"
        else:
            refusal = refused(calls[method])
            if method not in ("Act", "ActBatch"):  # the commit's script has no more to tell than that
                told = re.compile(rf"{name}' is damaged.*Traceback", re.DOTALL)
                wait_for("the log tells more", lambda: told.search(deployment.logs(200)), seconds=20)
    finally:
        deployment.redis().delete(damaged)
    assert (refusal.kind, refusal.metadata) == ((Code.DATA_LOSS, "EPISODE_DAMAGED"), {"episode_id": name})
    assert "KeyError" not in refusal.message


def test_a_message_that_is_no_protobuf_is_refused_as_the_callers_mistake(gateway: Gateway) -> None:
    act = gateway.channel.unary_unary("/shelm.v1.AgentService/Act", None, None)
    refusal = refused(lambda: act(b"\xff\xff\xff\xff", timeout=10))
    assert refusal.kind == (Code.INVALID_ARGUMENT, "MALFORMED_MESSAGE")


def test_a_stream_message_that_is_no_protobuf_is_refused_as_the_callers_mistake(gateway: Gateway) -> None:
    stream = gateway.channel.stream_stream("/shelm.v1.AgentService/ActStream", None, None)
    refusal = refused(lambda: list(stream(iter([b"\xff\xff\xff\xff"]), timeout=10)))
    assert refusal.kind == (Code.INVALID_ARGUMENT, "MALFORMED_MESSAGE")


@pytest.mark.parametrize("token", ["x", "-1", "9" * 20, "1" * 5000])
def test_a_page_token_that_no_page_gave_is_an_invalid_argument(gateway: Gateway, token: str) -> None:
    refusal = refused(lambda: gateway.call("ListEpisodes", agent_pb2.ListEpisodesRequest(page_token=token)))
    assert (refusal.kind, list(refusal.fields)) == ((Code.INVALID_ARGUMENT, "INVALID_FIELD"), ["page_token"])


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("ListEpisodes", agent_pb2.ListEpisodesRequest(page_size=1001), "page_size"),
        ("GetMemory", agent_pb2.GetMemoryRequest(episode_id="x", limit=1001), "limit"),
        ("GetMemory", agent_pb2.GetMemoryRequest(episode_id="x", from_step=2**53), "from_step"),
        ("GetMemory", agent_pb2.GetMemoryRequest(episode_id="a/b"), "episode_id"),
        ("GetEpisode", agent_pb2.GetEpisodeRequest(), "episode_id"),
        ("EndEpisode", agent_pb2.EndEpisodeRequest(episode_id="ü"), "episode_id"),
        ("CreateEpisode", agent_pb2.CreateEpisodeRequest(episode_id="x", seed=2**63), "seed"),
        ("CreateEpisode", agent_pb2.CreateEpisodeRequest(episode_id="x\n"), "episode_id"),
    ],
)
def test_every_method_names_the_wrong_field(gateway: Gateway, method: str, request_: Any, field: str) -> None:
    refusal = refused(lambda: gateway.call(method, request_))
    assert refusal.kind == (Code.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(refusal.fields) == [field]
