"""The internal contract of memory: words in, memory vectors out; its state is soft, a pure function of the history."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from support.deployment import Deployment
from support.errors import Code, refusal_of, refused
from support.frames import Frame
from support.gateway import Gateway, play
from support.waiting import wait_for
from support.ways import APART

from agent.history import empty_history, extend_history
from services.protocol.stubs import memory_pb2, memory_pb2_grpc
from services.runtime.replicas import preference

pytestmark = pytest.mark.parametrize("deployment", APART, indirect=True)
ROUNDING = 1e-4  # of a memory vector that is rebuilt in one pass, absolute


class Remembering:
    """Remembers steps of one episode directly at the memory service, without policy."""

    def __init__(self, stub: Any, gateway: Gateway, name: str) -> None:
        self.stub, self.name, self.digest = stub, name, gateway.agent().digest

    def ask(self, step: int, words: Sequence[int], history: bytes, **changes: Any) -> Any:
        """The result for one item."""
        values = {"episode_id": self.name, "agent_digest": self.digest, **changes}
        item = memory_pb2.RememberItem(step=step, word_ids=words, history_digest=history, **values)
        return self.stub.Remember(memory_pb2.RememberRequest(items=[item]), timeout=30).results[0]

    def encode(self, *histories: Sequence[int], seconds: float = 30, **changes: Any) -> list[Any]:
        """The vectors of histories."""
        sent = [memory_pb2.History(word_ids=words) for words in histories]
        request = memory_pb2.EncodeHistoriesRequest(**{"agent_digest": self.digest, "histories": sent, **changes})
        return [np.frombuffer(one, "<f4") for one in self.stub.EncodeHistories(request, timeout=seconds).vectors]

    def stats(self) -> Any:
        """The statistics of the agent."""
        agents = self.stub.GetMemoryStats(memory_pb2.GetMemoryStatsRequest(), timeout=30).agents
        return next(one for one in agents if one.agent_digest == self.digest)

    def forget(self, *names: str) -> int:
        """How many slots were dropped."""
        dropped: int = self.stub.Forget(memory_pb2.ForgetRequest(episode_ids=names or [self.name]), timeout=30).dropped
        return dropped


def home(name: str, addresses: Sequence[str]) -> str:
    """The memory replica that policy prefers for an episode."""
    return max(addresses, key=lambda address: preference(name.encode(), address))


@pytest.fixture
def remembering(deployment: Deployment, name: str) -> Iterator[Remembering]:
    """An episode whose slot is at the replica that the test asks."""
    addresses = deployment.settings.get("SHELM_MEMORY_TARGET", deployment.memory_target).split(",")
    candidates = (f"{name}.{i}" for i in range(100))
    name = next(one for one in candidates if home(one, addresses) == deployment.memory_target)
    with grpc.insecure_channel(deployment.memory_target) as channel:
        yield Remembering(memory_pb2_grpc.MemoryServiceStub(channel), deployment.gateway, name)


def vector(result: Any) -> Any:
    """The memory vector of a result that must be one."""
    assert result.WhichOneof("outcome") == "remembered", result
    return np.frombuffer(result.remembered.vector, "<f4")


def committed(deployment: Deployment, name: str) -> list[tuple[list[int], bytes]]:
    """Words of each committed step, and the history's digest before it."""
    history = empty_history(deployment.gateway.agent().digest)
    found = []
    for step in deployment.gateway.memory(name):
        words = [token.id for token in step.tokens]
        found.append((words, history))
        history = extend_history(history, words)
    return found


def test_remembering_a_step_again_gives_the_same_vector(
    deployment: Deployment, remembering: Remembering, frames: Sequence[Frame]
) -> None:
    play(deployment.gateway, remembering.name, frames[:3])
    words, history = committed(deployment, remembering.name)[-1]
    remembering.ask(2, words, history)  # where Acts use other slots, this one is rebuilt now
    before = remembering.stats()
    first, again = (remembering.ask(2, words, history) for _ in range(2))
    assert first.remembered == again.remembered
    assert not again.remembered.rebuilt
    assert remembering.stats().repeats >= before.repeats + 2
    assert remembering.stats().rebuilds == before.rebuilds
    assert vector(first).shape[0] > 0


def test_a_forgotten_memory_is_rebuilt_to_the_same_vector(
    deployment: Deployment, remembering: Remembering, frames: Sequence[Frame]
) -> None:
    play(deployment.gateway, remembering.name, frames[:40])
    words, history = committed(deployment, remembering.name)[-1]
    kept = vector(remembering.ask(39, words, history))
    used = remembering.stats().used
    assert remembering.forget() == 1
    assert remembering.stats().used == used - 1
    assert remembering.forget() == 0
    rebuilt = remembering.ask(39, words, history)
    assert rebuilt.remembered.rebuilt
    assert np.abs(vector(rebuilt) - kept).max() < ROUNDING


def test_other_words_give_another_vector(deployment: Deployment, remembering: Remembering, frames: Sequence[Frame]) -> None:
    play(deployment.gateway, remembering.name, frames[:3])
    words, history = committed(deployment, remembering.name)[-1]
    kept = vector(remembering.ask(2, words, history))
    others = [(word + 1) % deployment.gateway.agent().vocabulary_size for word in words]
    assert np.abs(vector(remembering.ask(2, others, history)) - kept).max() > 100 * ROUNDING


def test_a_history_that_is_not_the_committed_one_is_refused(
    deployment: Deployment, remembering: Remembering, frames: Sequence[Frame]
) -> None:
    play(deployment.gateway, remembering.name, frames[:3])
    words, _ = committed(deployment, remembering.name)[-1]
    refusal = refusal_of(remembering.ask(2, words, bytes(16)).status)
    assert refusal.kind == (Code.FAILED_PRECONDITION, "HISTORY_MISMATCH")
    unknown = refusal_of(remembering.ask(2, words, bytes(16), episode_id=f"{remembering.name}:unknown").status)
    assert unknown.kind == (Code.FAILED_PRECONDITION, "HISTORY_MISMATCH")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"words": []}, Code.INVALID_ARGUMENT, ["items[0].word_ids"]),
        ({"words": [2**31]}, Code.INVALID_ARGUMENT, ["items[0].word_ids"]),
        ({"history": b""}, Code.INVALID_ARGUMENT, ["items[0].history_digest"]),
        ({"agent_digest": "0" * 64}, Code.NOT_FOUND, []),
    ],
)
def test_a_wrong_item_fails_with_its_field(
    remembering: Remembering, changes: dict[str, Any], code: grpc.StatusCode, field: list[str]
) -> None:
    values: dict[str, Any] = {"words": [0], "history": empty_history(remembering.digest), **changes}
    refusal = refusal_of(remembering.ask(0, **values).status)
    assert (refusal.code, list(refusal.fields)) == (code, field)


def test_an_ended_episode_gives_its_slot_back(
    deployment: Deployment, remembering: Remembering, frames: Sequence[Frame]
) -> None:
    if not deployment.acts_ask_services:
        pytest.skip("Acts use other slots, of which tests/triton has the same test")
    gateway = deployment.gateway
    play(gateway, remembering.name, frames[:2])
    used = remembering.stats().used
    gateway.end(remembering.name)
    wait_for("the slot is free", lambda: remembering.stats().used < used, seconds=20)
    assert remembering.forget() == 0


def test_an_encoded_history_gives_the_vector_of_the_episode_that_has_it(
    deployment: Deployment, remembering: Remembering, frames: Sequence[Frame]
) -> None:
    play(deployment.gateway, remembering.name, frames[:80])  # longer than a memory vector reaches
    past = committed(deployment, remembering.name)
    words = [word for ids, _ in past for word in ids]
    real = vector(remembering.ask(79, *past[79]))
    whole, within_reach, other = remembering.encode(words, words[-70:], [*words[:-3], words[-3] ^ 1, *words[-2:]])
    assert np.abs(whole - real).max() < ROUNDING
    assert np.abs(within_reach - real).max() < ROUNDING
    assert np.abs(other - real).max() > 100 * ROUNDING


def test_encoding_a_history_changes_no_slot(
    deployment: Deployment, remembering: Remembering, frames: Sequence[Frame]
) -> None:
    play(deployment.gateway, remembering.name, frames[:5])
    before = remembering.stats()
    assert len(remembering.encode([1, 2, 3], [4], [5] * 100)) == 3
    assert remembering.encode() == []
    assert remembering.stats() == before


@pytest.mark.parametrize(
    ("histories", "changes", "code", "field"),
    [
        ([[1], [2], [3], []], {}, Code.INVALID_ARGUMENT, ["histories[3].word_ids"]),
        ([[1], [1, 2**31]], {}, Code.INVALID_ARGUMENT, ["histories[1].word_ids"]),
        ([[1]] * 2049, {}, Code.INVALID_ARGUMENT, ["histories"]),
        ([[1]], {"agent_digest": "0" * 64}, Code.NOT_FOUND, []),
    ],
)
def test_what_cannot_be_encoded_is_refused_with_its_field(
    remembering: Remembering, histories: list[list[int]], changes: dict[str, Any], code: grpc.StatusCode, field: list[str]
) -> None:
    refusal = refused(lambda: remembering.encode(*histories, **changes))
    assert (refusal.code, list(refusal.fields)) == (code, field)


def test_steps_are_taken_while_much_is_encoded_and_a_passed_deadline_ends_it(
    deployment: Deployment, remembering: Remembering, frames: Sequence[Frame]
) -> None:
    many = [[i % 1000, *range(100)] for i in range(2000)]
    with ThreadPoolExecutor(1) as pool:
        encoding = pool.submit(lambda: refusal_code(lambda: remembering.encode(*many, seconds=5)))
        taken = 0
        while not encoding.done():
            deployment.gateway.act(remembering.name, taken, frames[taken % len(frames)])
            taken += 1
        assert encoding.result(60) is Code.DEADLINE_EXCEEDED
    assert taken >= 5
    started = time.monotonic()
    remembering.encode([1])  # the rest of the work is not done for nobody
    assert time.monotonic() - started < 5


def refusal_code(call: Callable[[], object]) -> grpc.StatusCode:
    """The code of a call that must fail; a deadline's may be the client's own, without details."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    code: grpc.StatusCode = caught.value.code()
    return code
