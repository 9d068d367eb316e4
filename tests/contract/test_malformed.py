"""Malformed requests: each gets its documented status, no process dies, and no other episode notices.

Ten seeded variations of each kind in support.malformed, all sent while other episodes run at the same gateway.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from support.deployment import Deployment
from support.errors import Code, refused
from support.frames import Frame
from support.gateway import Gateway, act_request, lines, play
from support.malformed import KINDS, Request, Setting

VARIATIONS = 10


@contextmanager
def episodes_running(gateway: Gateway, names: Sequence[str], frames: Sequence[Frame]) -> Iterator[dict[str, list[Any]]]:
    """Plays an episode of each name, over and over the frames, as long as the block runs and at least 30 steps."""
    answers: dict[str, list[Any]] = {name: [] for name in names}
    over, failures = threading.Event(), list[BaseException]()

    def run(number: int, name: str) -> None:
        try:
            gateway.create(name, seed=number)
            for step in range(len(frames)):
                if over.is_set() and step >= 30:
                    return
                answers[name].append(gateway.act(name, step, frames[(step + 7 * number) % len(frames)]))
                over.wait(0.02)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(names)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join(120)
    assert failures == []


def undisturbed(gateway: Gateway, name: str, number: int, frames: Sequence[Frame], steps: int) -> list[Any]:
    """The same episode with nothing else going on."""
    own = [frames[(step + 7 * number) % len(frames)] for step in range(steps)]
    return play(gateway, name, own, seed=number)


def test_malformed_acts_get_their_status_and_disturb_nobody(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway, before, choose = deployment.gateway, deployment.pids(), np.random.default_rng(0)
    play(gateway, f"{name}:target", frames[:2])
    memory = gateway.memory(f"{name}:target")
    others = [f"{name}:other:{i}" for i in range(3)]
    told: Counter[str] = Counter()
    with episodes_running(gateway, others, frames) as answers:
        for variation in range(VARIATIONS):
            for kind, (code, reason, fields) in KINDS.items():
                fresh = f"{name}:{kind.__name__}:{variation}"
                setting = Setting(choose, frames[int(choose.integers(len(frames)))], fresh, f"{name}:target")
                refusal = refused(lambda: gateway.call("Act", kind(setting)))  # noqa: B023 - called at once
                assert refusal.kind == (code, reason), (kind.__name__, variation, refusal)
                assert set(refusal.fields) == fields, (kind.__name__, variation, refusal)
                told[kind.__name__] += 1
    assert len(told) >= 20
    assert sum(told.values()) >= 200
    assert deployment.pids() == before
    assert gateway.serving()
    assert gateway.memory(f"{name}:target") == memory
    assert not [one for one in redis_names(deployment, name) if one not in {f"{name}:target", *others}]
    for number, other in enumerate(others):
        alone = undisturbed(gateway, f"{other}:alone", number, frames, len(answers[other]))
        assert lines(answers[other]) == lines(alone)


def redis_names(deployment: Deployment, prefix: str) -> set[str]:
    """The episodes whose names begin with this, as Redis has them."""
    with deployment.redis() as client:
        keys = [key.decode() for key in client.scan_iter("shelm:*", count=1000)]
    names = {key.partition("{")[2].rpartition("}")[0] for key in keys}
    return {one for one in names if one.startswith(prefix)}


def test_random_bytes_on_every_method_are_refused_and_disturb_nobody(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway, before, choose = deployment.gateway, deployment.pids(), np.random.default_rng(1)
    act = act_request(f"{name}:valid", 0, frames[0]).SerializeToString()
    with episodes_running(gateway, [f"{name}:other"], frames) as answers:
        for method in ("Act", "ActBatch", "CreateEpisode", "EndEpisode", "GetEpisode", "GetMemory"):
            for _ in range(VARIATIONS):
                message = choose.bytes(int(choose.integers(1, 400)))
                call = gateway.channel.unary_unary(f"/shelm.v1.AgentService/{method}", None, None)
                refusal = refused(lambda: call(message, timeout=30))  # noqa: B023 - called at once
                assert refusal.code == Code.INVALID_ARGUMENT
                assert refusal.reason in ("MALFORMED_MESSAGE", "INVALID_FIELD")
        for _ in range(VARIATIONS * 3):
            cut = act[: int(choose.integers(1, len(act)))]
            call = gateway.channel.unary_unary("/shelm.v1.AgentService/Act", None, None)
            assert refused(lambda: call(cut, timeout=30)).code == Code.INVALID_ARGUMENT  # noqa: B023
    assert deployment.pids() == before
    assert redis_names(deployment, name) == {f"{name}:other"}
    alone = undisturbed(gateway, f"{name}:alone", 0, frames, len(answers[f"{name}:other"]))
    assert lines(answers[f"{name}:other"]) == lines(alone)


def test_malformed_items_of_a_stream_are_answered_one_by_one(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    play(gateway, f"{name}:target", frames[:2])
    choose = np.random.default_rng(2)
    requests, expected = list[Request](), list[int]()
    for kind, (code, _, _) in KINDS.items():
        setting = Setting(choose, frames[0], f"{name}:{kind.__name__}", f"{name}:target")
        requests += [kind(setting), act_request(f"{name}:good", len(requests) // 2, frames[len(requests) // 2])]
        expected += [code.value[0], 0]
    results = list(gateway.act_stream(requests))
    assert [result.status.code for result in results] == expected
    assert [one.step for one in gateway.memory(f"{name}:good")] == list(range(len(KINDS)))
