"""An episode whose stored form is damaged is refused for good, by its own reason, and hurts no other one."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from shelm.v1 import agent_pb2
from support.deployment import Deployment
from support.errors import Code, Refusal, refusal_of, refused, refused_item
from support.frames import Frame, raw
from support.gateway import Gateway, act_request, play
from support.waiting import wait_for

from services.store.keys import episode_key, history_key

DAMAGED = (Code.DATA_LOSS, "EPISODE_DAMAGED")


def check_damaged(refusal: Refusal, name: str) -> None:
    assert (refusal.kind, refusal.metadata, refusal.retry_after) == (DAMAGED, {"episode_id": name}, None)


def reading(gateway: Gateway, name: str, frames: Sequence[Frame]) -> list[Callable[[], Any]]:
    """Calls that read the words of an episode."""
    explained = agent_pb2.ExplainStepRequest(episode_id=name, step=2, observation=raw(frames[2]))
    asked = agent_pb2.WhatIfRequest(episode_id=name, step=2, observation=raw(frames[2]))
    branched = agent_pb2.BranchEpisodeRequest(episode_id=f"{name}:branch", source_episode_id=name, step=2)
    return [
        lambda: gateway.memory(name),
        lambda: list(gateway.watch(name)),
        lambda: gateway.call("ExplainStep", explained),
        lambda: gateway.call("WhatIf", asked),
        lambda: gateway.call("BranchEpisode", branched),
    ]


def test_a_stream_that_was_evicted_stops_its_episode_alone(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    """While the memory slot still holds all words."""
    gateway, healthy = deployment.gateway, f"{name}:healthy"
    for one in (name, healthy):
        play(gateway, one, frames[:3])
    with deployment.redis() as client:
        client.delete(history_key(name))
    for _ in range(2):  # for good
        check_damaged(refused(lambda: gateway.act(name, 3, frames[3])), name)
    for call in reading(gateway, name, frames):
        check_damaged(refused(call), name)
    bad, good = gateway.act_batch([act_request(one, 3, frames[3]) for one in (name, healthy)])
    check_damaged(refused_item(bad), name)
    assert good.response.memory.length == 4


@pytest.mark.parametrize("damage", ["a hole", "an unreadable step"])
def test_a_damaged_step_stops_the_rebuild_of_its_episode_alone(
    cramped: Deployment, name: str, frames: Sequence[Frame], damage: str
) -> None:
    """With two slots, so that states are rebuilt in one call to memory."""
    gateway = cramped.gateway
    names = [name, f"{name}:b", f"{name}:c"]
    for one in names:
        play(gateway, one, frames[:4])
    with cramped.redis() as client:
        entries: Any = client.xrange(history_key(name))
        client.delete(history_key(name))
        for entry, fields in entries:
            if entry != b"2-0":
                client.xadd(history_key(name), fields, id=entry)
            elif damage == "an unreadable step":
                client.xadd(history_key(name), {"step": b"\xff"}, id=entry)
    for step in range(4, 7):
        bad, *good = gateway.act_batch([act_request(one, step if one != name else 4, frames[step]) for one in names])
        check_damaged(refused_item(bad), name)
        assert [one.response.step for one in good] == [step, step]
    for call in reading(gateway, name, frames):
        check_damaged(refused(call), name)


def test_a_list_names_damaged_episodes_apart(deployment: Deployment, name: str) -> None:
    gateway = deployment.gateway
    healthy, other, half = (f"{name}:{kind}" for kind in ("healthy", "other", "half"))
    gateway.create(healthy)
    gateway.create(half)
    with deployment.redis() as client:
        client.set(episode_key(other), "somebody else's", ex=600)
        client.hdel(episode_key(half), "seed")
        try:
            listed, damaged = everything(gateway)
            assert healthy in listed
            assert not {other, half} & set(listed)
            for one in (other, half):
                check_damaged(refusal_of(damaged[one]), one)
                check_damaged(refused(lambda one=one: gateway.episode(one)), one)  # type: ignore[misc]
        finally:
            client.delete(episode_key(other), episode_key(half))
    wait_for("the list is whole again", lambda: not everything(gateway)[1])


def everything(gateway: Gateway) -> tuple[list[str], dict[str, agent_pb2.Status]]:
    """The names of all episodes, and what is said of damaged ones."""
    names: list[str] = []
    damaged: dict[str, agent_pb2.Status] = {}
    token = ""
    while True:
        reply = gateway.call("ListEpisodes", agent_pb2.ListEpisodesRequest(page_size=1000, page_token=token))
        names += [one.episode_id for one in reply.episodes]
        damaged |= {one.episode_id: one.status for one in reply.damaged}
        token = reply.next_page_token
        if not token:
            return names, damaged
