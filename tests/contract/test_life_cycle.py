"""The life of episodes, seen from outside: what an archive keeps, what deleting deletes, what a full Redis refuses."""

import time
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
from shelm.v1 import agent_pb2
from support.deployment import Deployment, Standalone
from support.errors import Code, refusal_of_call, refused
from support.frames import Frame
from support.gateway import Gateway, act_request, lines, play
from support.moto import moto
from support.waiting import wait_for

from services.store.keys import episode_key, history_key

ENDED_TTL = 1.0
SETTINGS = {"SHELM_ENDED_TTL": str(ENDED_TTL), "SHELM_ADMISSION_MARK": "0.9"}


@pytest.fixture(scope="module", params=["folder", "S3"])
def keeping(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _no_settings: None
) -> Iterator[Deployment]:
    """A server with an archive, which also records frames."""
    folder = tmp_path_factory.mktemp("keeping")
    record = {"SHELM_RECORD": str(folder / "frames")}
    if request.param == "folder":
        place = {"SHELM_ARCHIVE": str(folder / "archive"), **record}
        with Standalone(folder / "run", {**SETTINGS, **place}).running() as running:
            yield running
    else:
        with moto(folder, bucket="episodes") as access:
            place = {**access, "SHELM_ARCHIVE": "s3://episodes/of agents", **record}
            with Standalone(folder / "run", {**SETTINGS, **place}).running() as running:
                yield running


@pytest.fixture
def stored(keeping: Deployment) -> Iterator["redis.Redis"]:
    """The Redis behind it."""
    with keeping.redis() as client:
        yield client
        client.config_set("maxmemory", 0)


def in_archive_alone(stored: "redis.Redis", name: str) -> bool:
    return not stored.exists(episode_key(name), history_key(name))


def listed(gateway: Gateway) -> list[agent_pb2.Episode]:
    """All pages of the archive."""
    found: list[agent_pb2.Episode] = []
    token = ""
    while True:
        request = agent_pb2.ListEpisodesRequest(page_size=2, page_token=token, archived=True)
        reply = gateway.call("ListEpisodes", request)
        found += reply.episodes
        token = reply.next_page_token
        if not token:
            return found


def may_begin(gateway: Gateway) -> bool:
    """Whether episodes may begin: begins one, and deletes it again."""
    name = f"probe:{uuid.uuid4().hex}"
    try:
        gateway.create(name)
    except grpc.RpcError as error:
        assert refusal_of_call(error).reason == "STORE_FULL"  # noqa: PT017
        return False
    return delete(gateway, name)


def delete(gateway: Gateway, name: str) -> bool:
    return bool(gateway.call("DeleteEpisode", agent_pb2.DeleteEpisodeRequest(episode_id=name)).deleted)


def test_an_archived_episode_is_read_as_before(
    keeping: Deployment, stored: "redis.Redis", name: str, frames: Sequence[Frame]
) -> None:
    gateway = keeping.gateway
    play(gateway, name, frames[:6], seed=3)
    gateway.end(name, total_reward=0.5)
    explain = agent_pb2.ExplainStepRequest(episode_id=name, step=4)
    before = gateway.episode(name), gateway.memory(name), gateway.call("ExplainStep", explain)
    wait_for("it is in the archive alone", lambda: in_archive_alone(stored, name), seconds=30)
    episode = gateway.episode(name)
    assert episode.archived
    assert not episode.HasField("expire_time")
    for one in (episode, before[0]):
        one.archived = True
        one.ClearField("expire_time")
    assert episode == before[0]
    assert gateway.memory(name) == before[1]
    assert gateway.memory(name, from_step=4, limit=1) == before[1][4:5]
    assert [one.step for one in gateway.watch(name, from_step=2)] == before[1][2:]  # and the stream ends
    assert gateway.call("ExplainStep", explain) == before[2]  # with the recorded frame
    assert gateway.end(name) == episode  # ending is idempotent
    assert [one for one in listed(gateway) if one.episode_id == name] == [episode]
    assert refused(lambda: gateway.act(name, 6, frames[6])).kind == (Code.NOT_FOUND, "EPISODE_NOT_FOUND")


def test_a_name_may_live_again_and_the_newest_life_is_read(
    keeping: Deployment, stored: "redis.Redis", name: str, frames: Sequence[Frame]
) -> None:
    gateway = keeping.gateway
    for count in (2, 3):
        answers = play(gateway, name, frames[:count])
        gateway.end(name)
        assert len(gateway.memory(name)) == count
        wait_for("it is in the archive alone", lambda: in_archive_alone(stored, name), seconds=30)
    assert lines(gateway.memory(name)) == lines(answers)


def test_what_is_deleted_is_gone_everywhere(
    keeping: Deployment, stored: "redis.Redis", name: str, frames: Sequence[Frame]
) -> None:
    gateway = keeping.gateway
    play(gateway, name, frames[:2])
    gateway.end(name)
    wait_for("it is in the archive alone", lambda: in_archive_alone(stored, name), seconds=30)
    play(gateway, name, frames[:3])  # lives again, and runs
    assert delete(gateway, name)
    assert not delete(gateway, name)
    for read in (gateway.episode, gateway.memory):
        assert refused(lambda read=read: read(name)).kind == (Code.NOT_FOUND, "EPISODE_NOT_FOUND")  # type: ignore[misc]
    frame = agent_pb2.GetFrameRequest(episode_id=name, step=0)
    assert refused(lambda: gateway.call("GetFrame", frame)).kind == (Code.NOT_FOUND, "FRAME_NOT_RECORDED")
    assert name not in [one.episode_id for one in listed(gateway)]
    assert refused(lambda: gateway.act(name, 3, frames[3])).kind == (Code.NOT_FOUND, "EPISODE_NOT_FOUND")
    assert gateway.act(name, 0, frames[5]).memory.length == 1  # a new episode, with a memory of its own


def searched(gateway: Gateway, **fields: Any) -> list[agent_pb2.FoundEpisode]:
    """All pages of a search."""
    found: list[agent_pb2.FoundEpisode] = []
    request = agent_pb2.SearchEpisodesRequest(page_size=2, **fields)
    while True:
        reply = gateway.call("SearchEpisodes", request)
        found += reply.episodes
        request.page_token = reply.next_page_token
        if not request.page_token:
            return found


def test_archived_episodes_are_found_by_filter_and_words_until_they_are_deleted(
    keeping: Deployment, stored: "redis.Redis", name: str, frames: Sequence[Frame]
) -> None:
    gateway = keeping.gateway
    names = [f"{name}:{number}" for number in range(5)]
    for number, one in enumerate(names):
        play(gateway, one, frames[number : number + 3])
        if number < 4:
            gateway.end(one, total_reward=number % 2)
    wanted = agent_pb2.EpisodeFilter(name_prefix=f"{name}:")
    for one in names[:4]:
        wait_for("it is in the archive alone", partial(in_archive_alone, stored, one), seconds=30)

    def ids(*, archived: bool = True, **fields: Any) -> list[str]:
        request = agent_pb2.ListEpisodesRequest(archived=archived, filter=wanted, **fields)
        return [one.episode_id for one in gateway.call("ListEpisodes", request).episodes]

    wait_for("the index has them", lambda: len(ids()) == 4, seconds=30)
    assert ids() == names[3::-1]
    assert ids(order=agent_pb2.EPISODE_ORDER_OLDEST) == names[:4]
    assert ids(archived=False) == names[4:]
    word = gateway.memory(names[0])[1].tokens[0].text
    seen = agent_pb2.SeenWord(word=word, first_step=1, last_step=1)
    meant = [one for one in (names[4], *names[3::-1]) if word in {token.text for token in gateway.memory(one)[1].tokens}]
    found = searched(gateway, filter=wanted, saw=[seen])
    assert [one.episode.episode_id for one in found] == meant  # those that run, then those of the archive
    assert {tuple(one.seen_steps) for one in found} == {(1,)}
    assert found[-1].episode == gateway.episode(names[0])
    comparison = agent_pb2.CompareOutcomesRequest(filter=wanted)
    reply = gateway.call("CompareOutcomes", comparison)
    assert (reply.succeeded, reply.failed, reply.partial) == (2, 2, False)

    assert delete(gateway, names[1])
    assert ids() == [names[3], names[2], names[0]]  # at once
    assert names[1] not in [one.episode.episode_id for one in searched(gateway, filter=wanted)]
    wait_for("it is not counted", lambda: gateway.call("CompareOutcomes", comparison).succeeded == 1, seconds=30)


@pytest.mark.parametrize("token", ["12", "zzz/name", "../../etc", "abc/../x", "a" * 300])
def test_a_token_that_no_page_of_the_archive_gave_is_refused(keeping: Deployment, token: str) -> None:
    request = agent_pb2.ListEpisodesRequest(page_token=token, archived=True)
    assert "page_token" in refused(lambda: keeping.gateway.call("ListEpisodes", request)).fields


@pytest.mark.usefixtures("_no_settings")
def test_without_an_archive_an_ended_episode_expires_soon_and_the_archive_says_that_it_is_off(
    tmp_path: Path, name: str, frames: Sequence[Frame]
) -> None:
    with Standalone(tmp_path, SETTINGS).running() as running:
        play(running.gateway, name, frames[:2])
        running.gateway.end(name)
        time.sleep(ENDED_TTL + 0.5)
        assert refused(lambda: running.gateway.memory(name)).kind == (Code.NOT_FOUND, "EPISODE_NOT_FOUND")
        assert refused(lambda: listed(running.gateway)).kind == (Code.FAILED_PRECONDITION, "ARCHIVE_OFF")
        filtered = agent_pb2.ListEpisodesRequest(archived=True, order=agent_pb2.EPISODE_ORDER_NEWEST)
        assert refused(lambda: running.gateway.call("ListEpisodes", filtered)).reason == "ARCHIVE_OFF"
        assert searched(running.gateway) == []


def test_a_nearly_full_redis_begins_no_episode_and_lets_running_ones_end(
    keeping: Deployment, stored: "redis.Redis", name: str, frames: Sequence[Frame]
) -> None:
    gateway = keeping.gateway
    play(gateway, name, frames[:2])
    stored.config_set("maxmemory", int(1.05 * stored.info("memory")["used_memory"]))
    new = f"{name}:new"

    wait_for("the server has noticed", lambda: not may_begin(gateway), seconds=20)
    for begin in (lambda: gateway.act(new, 0, frames[0]), lambda: gateway.create(new)):
        refusal = refused(begin)
        assert refusal.kind == (Code.RESOURCE_EXHAUSTED, "STORE_FULL")
        assert refusal.retry_after
    (item,) = gateway.act_batch([act_request(new, 0, frames[0])])
    assert item.status.code == Code.RESOURCE_EXHAUSTED.value[0]
    assert gateway.create(name).committed_step == 1  # exists, so nothing begins
    assert gateway.act(name, 2, frames[2]).memory.length == 3
    assert gateway.end(name).ended
    assert gateway.serving()
    stored.config_set("maxmemory", 0)
    wait_for("episodes begin again", lambda: may_begin(gateway), seconds=20)
