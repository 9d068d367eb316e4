"""The life of an episode ends when it expires: what takes its name afterwards is another one, for everybody."""

import threading
from collections.abc import Sequence

from shelm.v1 import agent_pb2
from support.deployment import Deployment
from support.errors import Code, refused
from support.frames import Frame
from support.gateway import lines, play
from support.waiting import wait_for

from services.store.keys import episode_key, history_key


def forget(deployment: Deployment, name: str) -> None:
    """Lets an episode expire."""
    with deployment.redis() as client:
        client.delete(episode_key(name), history_key(name))


def test_a_watcher_does_not_join_the_next_episode_of_the_name(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway = deployment.gateway
    answers = play(gateway, name, frames[:3])
    seen: list[agent_pb2.MemoryStep] = []
    watching = threading.Thread(target=lambda: seen.extend(one.step for one in gateway.watch(name)))
    watching.start()
    wait_for("the watcher has what is there", lambda: len(seen) == 3)
    forget(deployment, name)
    play(gateway, name, frames[10:16])  # longer, so that its later steps would follow those that were sent
    watching.join(20)
    assert not watching.is_alive(), "the stream ends as it does when an episode expires"
    assert lines(seen) == lines(answers)


def test_the_next_episode_of_a_name_has_nothing_of_the_one_before(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    """At the process that still knows the earlier one, with a memory slot that holds its words."""
    gateway = deployment.gateway
    undisturbed = play(gateway, f"{name}:alone", frames[10:14], seed=3, deterministic=True)
    play(gateway, name, frames[:3], seed=3, deterministic=True)
    forget(deployment, name)
    answers = play(gateway, name, frames[10:14], seed=3, deterministic=True)
    assert lines(answers) == lines(undisturbed)
    assert not any(answer.replayed for answer in answers)
    assert lines(gateway.memory(name)) == lines(undisturbed)


def test_who_names_the_incarnation_of_an_episode_does_not_read_the_next_one(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    """As a client does for the next page, and when its stream broke."""
    gateway = deployment.gateway
    play(gateway, name, frames[:3])
    first = gateway.episode(name).incarnation
    assert next(iter(gateway.watch(name))).incarnation == first
    memory, watch = (
        kind(episode_id=name, from_step=1, incarnation=first)
        for kind in (agent_pb2.GetMemoryRequest, agent_pb2.WatchMemoryRequest)
    )
    page = gateway.call("GetMemory", memory)
    assert ([one.step for one in page.steps], page.incarnation) == ([1, 2], first)
    assert next(gateway.stub.WatchMemory(watch, timeout=30)).step.step == 1
    forget(deployment, name)
    play(gateway, name, frames[10:16])
    assert gateway.episode(name).incarnation not in ("", first)
    for call in (lambda: gateway.call("GetMemory", memory), lambda: next(gateway.stub.WatchMemory(watch, timeout=30))):
        assert refused(call).kind == (Code.NOT_FOUND, "EPISODE_NOT_FOUND")
