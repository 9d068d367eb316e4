"""ActBatch and ActStream: many steps in one call, each succeeding or failing alone."""

import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from shelm.v1 import agent_pb2
from support.deployment import Deployment
from support.errors import Code, refused, refused_item
from support.frames import Frame
from support.gateway import Gateway, act_request, lines, play, stored


def test_items_of_a_batch_succeed_and_fail_alone(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    play(gateway, f"{name}:running", frames[:2])
    wrong_size = act_request(f"{name}:size", 0, frames[0])
    wrong_size.observation.height = 7
    results = gateway.act_batch(
        [
            act_request(f"{name}:new", 0, frames[0]),
            wrong_size,
            act_request(f"{name}:running", 2, frames[2]),
            act_request("no name", 0, frames[0]),
            act_request(f"{name}:unknown", 4, frames[0]),
            act_request(f"{name}:other", 0, frames[1], agent="nobody"),
        ]
    )
    assert [one.WhichOneof("outcome") for one in results] == ["response", "status", "response", *["status"] * 3]
    assert [(one.response.episode_id, one.response.step) for one in (results[0], results[2])] == [
        (f"{name}:new", 0),
        (f"{name}:running", 2),
    ]
    refusals = [refused_item(results[i]) for i in (1, 3, 4, 5)]
    assert [one.code for one in refusals] == [Code.INVALID_ARGUMENT, Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.NOT_FOUND]
    fields = ["requests[1].observation.height", "requests[3].episode_id", "requests[5].agent"]
    assert [list(one.fields) for one in refusals] == [fields[:1], fields[1:2], [], fields[2:]]
    assert refusals[0].message.startswith(fields[0])
    assert len(gateway.memory(f"{name}:running")) == 3


def test_items_of_a_batch_follow_the_step_rule(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    names = [f"{name}:{i}" for i in range(4)]
    first = {one: play(gateway, one, frames[:2]) for one in names}
    again, conflict, gap, following = gateway.act_batch(
        [
            act_request(names[0], 1, frames[1]),
            act_request(names[1], 1, frames[2]),
            act_request(names[2], 3, frames[3]),
            act_request(names[3], 2, frames[2]),
        ]
    )
    assert (again.response.replayed, stored(again.response)) == (True, stored(first[names[0]][1]))
    assert refused_item(conflict).kind == (Code.ABORTED, "STEP_CONFLICT")
    assert refused_item(gap).metadata["committed_step"] == "1"
    assert (following.response.step, following.response.replayed) == (2, False)


def test_batches_give_the_same_episodes_as_single_acts(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    walks = [[*frames[5 * i :], *frames[: 5 * i]][:12] for i in range(8)]
    alone = [play(gateway, f"{name}:alone:{i}", walk, seed=i, deterministic=i % 2 == 0) for i, walk in enumerate(walks)]
    names = [f"{name}:{i}" for i in range(len(walks))]
    for i, one in enumerate(names):
        gateway.create(one, seed=i, deterministic=i % 2 == 0)
    for step in range(len(walks[0])):
        batch = [act_request(one, step, walk[step]) for one, walk in zip(names, walks, strict=True)]
        results = gateway.act_batch(batch)
        for result, single in zip(results, (episode[step] for episode in alone), strict=True):
            assert lines([result.response]) == lines([single])
            assert result.response.value == pytest.approx(single.value, abs=1e-3)  # a row of a batch may round differently
            assert result.response.log_prob == pytest.approx(single.log_prob, abs=1e-3)
            assert (result.response.committed_step, result.response.memory.length) == (step, single.memory.length)
        again = gateway.act_batch(batch)
        assert [(one.response.replayed, stored(one.response)) for one in again] == [
            (True, stored(one.response)) for one in results
        ]
    for one, episode in zip(names, alone, strict=True):
        assert lines(gateway.memory(one)) == lines(episode)


def test_batches_and_single_acts_of_the_same_step_at_once_commit_it_once(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    names = [f"{name}:{i}" for i in range(6)]
    for step, frame in enumerate(frames[:4]):
        batch = [act_request(one, step, frame) for one in names]
        with ThreadPoolExecutor(8) as threads:
            batches = [threads.submit(gateway.act_batch, some) for some in (batch, batch[::-1])]
            acts = [threads.submit(gateway.act, one, step, frame) for one in names]
            results = {result.response.episode_id: [result.response] for result in batches[0].result()}
            for result in batches[1].result():
                results[result.response.episode_id].append(result.response)
            for one, act in zip(names, acts, strict=True):
                results[one].append(act.result())
        for answers in results.values():
            assert len({answer.replayed for answer in answers}) == 2
            assert sum(not answer.replayed for answer in answers) == 1
            assert stored(answers[0]) == stored(answers[1]) == stored(answers[2])
    assert all(len(gateway.memory(one)) == 4 for one in names)


def test_an_empty_batch_has_no_results(gateway: Gateway) -> None:
    assert gateway.act_batch([]) == []


def test_an_episode_twice_in_a_batch_is_refused_as_a_whole(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    batch = [act_request(name, 0, frames[0]), act_request(f"{name}:b", 0, frames[0]), act_request(name, 1, frames[1])]
    refusal = refused(lambda: gateway.act_batch(batch))
    assert (refusal.kind, list(refusal.fields)) == ((Code.INVALID_ARGUMENT, "INVALID_FIELD"), ["requests"])
    assert name in refusal.message
    assert refused(lambda: gateway.episode(f"{name}:b")).code == Code.NOT_FOUND


def test_a_batch_of_more_than_256_items_is_refused_as_a_whole(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    batch = [act_request(f"{name}:{i}", 0, frames[0]) for i in range(257)]
    refusal = refused(lambda: gateway.act_batch(batch))
    assert (refusal.kind, list(refusal.fields)) == ((Code.INVALID_ARGUMENT, "INVALID_FIELD"), ["requests"])
    assert "256" in refusal.message
    assert "257" in refusal.message
    assert refused(lambda: gateway.episode(f"{name}:0")).code == Code.NOT_FOUND


def test_the_limit_of_a_batch_is_a_setting(cramped: Deployment, name: str, frames: Sequence[Frame]) -> None:
    batch = [act_request(f"{name}:{i}", 0, frames[i]) for i in range(7)]
    assert list(refused(lambda: cramped.gateway.act_batch(batch)).fields) == ["requests"]
    assert all(one.HasField("response") for one in cramped.gateway.act_batch(batch[:6]))


def test_a_stream_answers_every_request_in_order_and_goes_on_after_a_failure(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    one, other = f"{name}:one", f"{name}:other"
    requests = [
        act_request(one, 0, frames[0]),
        act_request(other, 0, frames[1]),
        act_request(one, 2, frames[2]),  # a gap
        act_request(one, 1, frames[2]),
        act_request("", 0, frames[2]),  # no name
        act_request(one, 1, frames[2]),  # a retry
        act_request(other, 1, frames[3]),
        act_request(one, 0, frames[5]),  # another frame
        act_request(one, 2, frames[4]),
    ]
    results = list(gateway.act_stream(requests))
    assert [result.WhichOneof("outcome") == "response" for result in results] == [
        request_is_good not in (2, 4, 7) for request_is_good in range(9)
    ]
    answers = [(result.response.episode_id, result.response.step) for result in results if result.HasField("response")]
    assert answers == [(one, 0), (other, 0), (one, 1), (one, 1), (other, 1), (one, 2)]
    assert results[5].response.replayed
    assert refused_item(results[2]).kind == (Code.FAILED_PRECONDITION, "STEP_GAP")
    assert list(refused_item(results[4]).fields) == ["request.episode_id"]
    assert refused_item(results[7]).kind == (Code.ABORTED, "STEP_CONFLICT")
    assert (len(gateway.memory(one)), len(gateway.memory(other))) == (3, 2)


def test_a_stream_answers_each_request_before_the_next_one_is_sent(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    waiting: queue.Queue[agent_pb2.ActRequest | None] = queue.Queue()

    def requests() -> Iterator[agent_pb2.ActRequest]:
        while (request := waiting.get(timeout=30)) is not None:
            yield request

    replies, answers = gateway.act_stream(requests()), []
    for step, frame in enumerate(frames[:5]):
        waiting.put(act_request(name, step, frame))
        answers.append(next(replies).response)
    waiting.put(None)
    assert list(replies) == []
    assert lines(gateway.memory(name)) == lines(answers)


def test_a_long_stream_plays_the_same_episode_as_single_acts(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    alone = play(gateway, f"{name}:alone", frames, seed=3)
    gateway.create(name, seed=3)
    streamed = gateway.act_stream(act_request(name, step, frame) for step, frame in enumerate(frames))
    assert lines(result.response for result in streamed) == lines(alone)
