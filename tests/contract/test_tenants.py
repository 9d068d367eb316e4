"""Tenants: each has episodes of its own, and no call, page, error or stored thing tells it of another's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from shelm.v1 import agent_pb2
from support.deployment import Deployment, Standalone
from support.errors import Code, Refusal, refused, refused_item
from support.frames import Frame, raw
from support.gateway import Gateway, act_request, lines, play
from support.redis_cluster import RedisClusterProcesses
from support.waiting import wait_for

TOKENS = """
secret-of-acme   sim      act,read tenant=acme
second-of-acme   page     read     tenant=acme
secret-of-other  sim2     act,read tenant=other
secret-of-alone  alone
secret-of-shared old      act,read tenant=-
secret-of-small  small    act,read tenant=small acts=2 episodes=2
secret-of-show   show     act,read tenant=show
second-of-show   show2    read     tenant=show
secret-of-root   operator admin
"""
TENANTS = {"secret-of-acme": "@acme", "secret-of-other": "@other", "secret-of-alone": "@~alone", "secret-of-shared": ""}


@pytest.fixture(scope="module", params=["one Redis", "cluster"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _no_settings: None
) -> Iterator[Deployment]:
    """A server with tenants that records frames and has an archive."""
    folder = tmp_path_factory.mktemp("tenants")
    (folder / "tokens").write_text(TOKENS)
    settings = {
        "SHELM_TOKENS_FILE": str(folder / "tokens"),
        "SHELM_RECORD": str(folder / "frames"),
        "SHELM_ARCHIVE": str(folder / "archive"),
        "SHELM_ENDED_TTL": "1",
        "SHELM_MAX_TENANT_WATCHERS": "2",
    }
    if request.param == "one Redis":
        with Standalone(folder / "run", settings).running() as running:
            yield running
    else:
        cluster = RedisClusterProcesses(folder / "redis")
        cluster.start()
        try:
            with Standalone(folder / "run", {**settings, "SHELM_REDIS_URL": cluster.url}).running() as running:
                yield running
                assert all(cluster.node(i).dbsize() for i in range(3)), "the episodes are in the cluster"
        finally:
            cluster.stop()


@pytest.fixture
def of(shared: Deployment) -> Iterator[Callable[[str], Gateway]]:
    """A connection with a token."""
    opened: dict[str, Gateway] = {}

    def gateway(token: str) -> Gateway:
        return opened.setdefault(token, Gateway(shared.target, token=token))

    yield gateway
    for one in opened.values():
        one.close()


Of = Callable[[str], Gateway]


def of_unknown(name: str, frame: Frame) -> Mapping[str, Callable[[Gateway], Any]]:
    """Every call that names an episode and does not begin one."""
    explain = agent_pb2.ExplainStepRequest(episode_id=name, step=1, observation=raw(frame))
    what_if = agent_pb2.WhatIfRequest(episode_id=name, step=1, observation=raw(frame))
    branch = agent_pb2.BranchEpisodeRequest(episode_id="branch", source_episode_id=name, step=1)
    return {
        "GetEpisode": lambda gateway: gateway.episode(name),
        "GetMemory": lambda gateway: gateway.memory(name),
        "WatchMemory": lambda gateway: next(gateway.watch(name)),
        "ExplainStep": lambda gateway: gateway.call("ExplainStep", explain),
        "WhatIf": lambda gateway: gateway.call("WhatIf", what_if),
        "BranchEpisode": lambda gateway: gateway.call("BranchEpisode", branch),
        "GetFrame": lambda gateway: gateway.call("GetFrame", agent_pb2.GetFrameRequest(episode_id=name, step=1)),
        "EndEpisode": lambda gateway: gateway.end(name, total_reward=1.0),
        "Act": lambda gateway: gateway.act(name, 1, frame),
    }


def told(refusal: Refusal, name: str) -> tuple[object, ...]:
    """All that a refusal says, but for the name that the caller has given."""
    metadata = {key: value.replace(name, "NAME") for key, value in refusal.metadata.items()}
    return refusal.kind, refusal.message.replace(name, "NAME"), metadata, dict(refusal.fields), refusal.retry_after


def names(gateway: Gateway, *, archived: bool = False) -> set[str]:
    """All pages of a listing."""
    found, token = set[str](), ""
    while True:
        request = agent_pb2.ListEpisodesRequest(page_size=3, page_token=token, archived=archived)
        reply = gateway.call("ListEpisodes", request)
        found |= {one.episode_id for one in reply.episodes} | {one.episode_id for one in reply.damaged}
        token = reply.next_page_token
        if not token:
            return found


def test_the_same_name_is_another_episode_for_each_tenant(of: Of, name: str, frames: Sequence[Frame]) -> None:
    played = {}
    for token, length in zip(TENANTS, (2, 3, 4, 5), strict=True):
        answers = play(of(token), name, frames[:length], deterministic=True)
        assert {answer.episode_id for answer in answers} == {name}
        played[token] = lines(answers)
    for token, answered in played.items():
        assert lines(of(token).memory(name)) == answered
        assert of(token).episode(name).committed_step == len(answered) - 1
    of("secret-of-other").end(name)
    assert [of(token).episode(name).ended for token in TENANTS] == [False, True, False, False]
    request = agent_pb2.DeleteEpisodeRequest(episode_id=name)
    assert of("secret-of-acme").call("DeleteEpisode", request).deleted
    assert refused(lambda: of("secret-of-acme").episode(name)).reason == "EPISODE_NOT_FOUND"
    assert lines(of("secret-of-alone").memory(name)) == played["secret-of-alone"]


def test_a_name_of_another_tenant_is_as_unknown_as_any(of: Of, name: str, frames: Sequence[Frame]) -> None:
    play(of("secret-of-acme"), name, frames[:3])
    unknown, other = f"{name}:unknown", of("secret-of-other")
    for method, call in of_unknown(name, frames[1]).items():
        never = of_unknown(unknown, frames[1])[method]
        refusal = refused(lambda call=call: call(other))  # type: ignore[misc]
        assert told(refusal, name) == told(refused(lambda never=never: never(other)), unknown), method  # type: ignore[misc]
        assert "acme" not in str(refusal), method
    (item,) = other.act_batch([act_request(name, 1, frames[1])])
    (never_item,) = other.act_batch([act_request(unknown, 1, frames[1])])
    assert told(refused_item(item), name) == told(refused_item(never_item), unknown)
    assert not other.call("DeleteEpisode", agent_pb2.DeleteEpisodeRequest(episode_id=name)).deleted
    state = of("secret-of-acme").episode(name)
    assert (state.committed_step, state.ended) == (2, False)


def test_no_tenant_can_write_the_full_name_of_anothers(of: Of, name: str, frames: Sequence[Frame]) -> None:
    play(of("secret-of-acme"), name, frames[:2])
    for full in (f"{name}@acme", f"{name}@", f"{name}@~alone", f"{name}}}:episode", f"../{name}"):
        for method, call in of_unknown(full, frames[1]).items():
            refusal = refused(lambda call=call: call(of("secret-of-other")))  # type: ignore[misc]
            assert refusal.kind == (Code.INVALID_ARGUMENT, "INVALID_FIELD"), method


def test_listings_hold_the_tenants_own_alone(of: Of, name: str, frames: Sequence[Frame]) -> None:
    mine = {f"{name}:{i}" for i in range(4)}
    for one in mine:
        play(of("secret-of-acme"), one, frames[:1])
    of("secret-of-other").act(f"{name}:other", 0, frames[0])
    assert names(of("secret-of-acme")) >= mine
    assert names(of("second-of-acme")) >= mine, "all tokens of a tenant see them"
    for token in ("secret-of-other", "secret-of-alone", "secret-of-shared"):
        assert not names(of(token)) & mine
    assert f"{name}:other" in names(of("secret-of-other"))
    assert {f"{one}@acme" for one in mine} | {f"{name}:other@other"} <= names(of("secret-of-root"))


def test_the_archive_and_frames_are_the_tenants_own(of: Of, name: str, frames: Sequence[Frame]) -> None:
    for token, frame in zip(TENANTS, frames, strict=False):
        of(token).act(name, 0, frame)
        of(token).end(name)
    for token in TENANTS:
        wait_for("archived", lambda token=token: of(token).episode(name).archived)  # type: ignore[misc]
        assert name in names(of(token), archived=True)
        assert not {one for one in names(of(token), archived=True) if "@" in one}
    first = {token: of(token).memory(name)[0].tokens[0].text for token in TENANTS}
    wait_for("in the archive alone", lambda: not any(of(one).episode(name).HasField("expire_time") for one in TENANTS))
    assert {token: of(token).memory(name)[0].tokens[0].text for token in TENANTS} == first
    request = agent_pb2.GetFrameRequest(episode_id=name, step=0)
    pictures = [of(token).call("GetFrame", request).frame.data for token in TENANTS]
    assert len(set(pictures)) == len({frame.tobytes() for frame, _ in zip(frames, TENANTS, strict=False)})
    full = {f"{name}{end}" for end in TENANTS.values()}
    assert full <= names(of("secret-of-root"), archived=True)
    assert of("secret-of-acme").call("DeleteEpisode", agent_pb2.DeleteEpisodeRequest(episode_id=name)).deleted
    assert refused(lambda: of("secret-of-acme").call("GetFrame", request)).reason == "FRAME_NOT_RECORDED"
    assert full - names(of("secret-of-root"), archived=True) == {f"{name}@acme"}


def test_searches_and_comparisons_see_the_tenants_own_alone(of: Of, name: str, frames: Sequence[Frame]) -> None:
    asked = agent_pb2.EpisodeFilter(name_prefix=name)
    search = agent_pb2.SearchEpisodesRequest(filter=asked)
    compare = agent_pb2.CompareOutcomesRequest(filter=asked)
    ordered = agent_pb2.ListEpisodesRequest(filter=asked)
    archived = agent_pb2.ListEpisodesRequest(filter=asked, archived=True)

    def seen(token: str) -> tuple[list[str], list[str], list[str], int]:
        """Names that a search, a list and a list of the archive have, and how many a comparison counts."""
        gateway = of(token)
        found = [one.episode for one in gateway.call("SearchEpisodes", search).episodes]
        lists = [gateway.call("ListEpisodes", request).episodes for request in (ordered, archived)]
        counted = gateway.call("CompareOutcomes", compare)
        names = [sorted(one.episode_id for one in some) for some in (found, *lists)]
        return (*names, counted.succeeded)

    for token, length in zip(TENANTS, (2, 3, 4, 5), strict=True):
        for number in range(length):
            play(of(token), f"{name}:{number}", frames[:2])
    own = {
        token: [f"{name}:{number}" for number in range(length)] for token, length in zip(TENANTS, (2, 3, 4, 5), strict=True)
    }
    everybody = sorted(f"{one}{end}" for token, end in TENANTS.items() for one in own[token])
    for token, names in own.items():
        assert seen(token) == (names, names, [], 0)
    assert seen("secret-of-root") == (everybody, everybody, [], 0)
    for token, names in own.items():
        for one in names:
            of(token).end(one, total_reward=1.0)
    wait_for("the archive has them", lambda: seen("secret-of-root") == (everybody, [], everybody, 14), seconds=60)
    for token, names in own.items():
        assert seen(token) == (names, [], names, len(names))


def test_an_admin_names_and_continues_any_episode(of: Of, name: str, frames: Sequence[Frame]) -> None:
    acme, root = of("secret-of-acme"), of("secret-of-root")
    played = play(acme, name, frames[:2])
    assert refused(lambda: root.episode(name)).reason == "EPISODE_NOT_FOUND"
    full = f"{name}@acme"
    assert root.episode(full).episode_id == full
    assert lines(root.memory(full)) == lines(played)
    assert root.act(full, 2, frames[2]).episode_id == full
    assert acme.episode(name).committed_step == 2
    refusal = refused(lambda: root.act(full, 7, frames[3]))
    assert refusal.metadata["episode_id"] == full
    assert refused(lambda: acme.act(name, 7, frames[3])).metadata["episode_id"] == name


def test_a_watch_is_of_the_tenants_own(of: Of, name: str, frames: Sequence[Frame]) -> None:
    acme, other = of("secret-of-acme"), of("secret-of-other")
    acme.act(name, 0, frames[0])
    other.act(name, 0, frames[1])
    watch = acme.watch(name)
    assert next(watch).step.step == 0
    other.act(name, 1, frames[2])
    mine = acme.act(name, 1, frames[3])
    assert next(watch).step.tokens == mine.tokens
    watch.cancel()


def test_a_branch_is_the_tenants_own(of: Of, name: str, frames: Sequence[Frame]) -> None:
    acme, other, root = of("secret-of-acme"), of("secret-of-other"), of("secret-of-root")
    played = {gateway: play(gateway, name, some) for gateway, some in ((acme, frames[:4]), (other, frames[4:8]))}
    request = agent_pb2.BranchEpisodeRequest(episode_id=f"{name}:branch", source_episode_id=name, step=3)
    for gateway, answers in played.items():
        made = gateway.call("BranchEpisode", request).episode
        assert (made.episode_id, made.branch.source_episode_id) == (f"{name}:branch", name)
        assert lines(gateway.memory(f"{name}:branch")) == lines(answers[:3])
        assert gateway.act(f"{name}:branch", 3, frames[9]).committed_step == 3
        assert f"{name}:branch" in names(gateway)
    assert root.episode(f"{name}:branch@acme").branch.source_episode_id == f"{name}@acme"
    across = agent_pb2.BranchEpisodeRequest(episode_id=f"{name}:x@other", source_episode_id=f"{name}@acme", step=3)
    refusal = refused(lambda: root.call("BranchEpisode", across))
    assert (refusal.reason, list(refusal.fields)) == ("INVALID_FIELD", ["episode_id"])


def test_new_tokens_are_taken_without_a_restart(tmp_path: Path, name: str, frames: Sequence[Frame]) -> None:
    file = tmp_path / "tokens"
    file.write_text(TOKENS)
    with (
        Standalone(tmp_path / "run", {"SHELM_TOKENS_FILE": str(file)}).running() as running,
        Gateway(running.target, token="new") as new,
        Gateway(running.target, token="secret-of-acme") as acme,
    ):
        assert refused(lambda: new.act(name, 0, frames[0])).reason == "UNAUTHENTICATED"
        acme.act(name, 0, frames[0])
        watch = acme.watch(name)
        assert next(watch).step.step == 0
        file.write_text("new sim act,read tenant=acme\n")
        wait_for("the new file counts", lambda: known(new))
        assert new.act(name, 1, frames[1]).committed_step == 1
        assert refused(lambda: acme.act(name, 2, frames[2])).reason == "UNAUTHENTICATED"
        assert refused(lambda: next(watch)).reason == "UNAUTHENTICATED", "a step that came after the token had gone"


def known(gateway: Gateway) -> bool:
    """Whether its token is one."""
    try:
        gateway.agent()
    except grpc.RpcError as error:
        return error.code() is not Code.UNAUTHENTICATED
    return True


def test_a_tenants_limits_are_its_own(of: Of, name: str, frames: Sequence[Frame]) -> None:
    small = of("secret-of-small")
    for i in range(2):
        small.create(f"{name}:{i}")
        small.create(f"{name}:{i}")  # again, which begins nothing
    refusal = refused(lambda: small.create(f"{name}:2"))
    assert refusal.kind == (Code.RESOURCE_EXHAUSTED, "TENANT_QUOTA")
    assert (refusal.metadata["episode_id"], refusal.retry_after) == (f"{name}:2", 10.0)
    assert refused(lambda: small.act(f"{name}:3", 0, frames[0])).reason == "TENANT_QUOTA"
    branch = agent_pb2.BranchEpisodeRequest(episode_id=f"{name}:4", source_episode_id=f"{name}:0")
    assert refused(lambda: small.call("BranchEpisode", branch)).reason == "TENANT_QUOTA"
    results = small.act_batch([act_request(f"{name}:{i}", 0, frames[0]) for i in range(2)])
    results += [result for _ in range(4) for result in small.act_batch([act_request(f"{name}:0", 0, frames[0])])]
    refusals = [refused_item(one) for one in results if one.WhichOneof("outcome") == "status"]
    assert refusals
    assert {one.reason for one in refusals} == {"TENANT_QUOTA"}
    assert max(one.retry_after or 0 for one in refusals) <= 0.5
    for i in range(10):
        of("secret-of-acme").act(f"{name}:{i}", 0, frames[0])


def test_the_watchers_of_a_tenant_leave_places_to_others(of: Of, name: str, frames: Sequence[Frame]) -> None:
    for token in ("secret-of-show", "secret-of-other"):
        play(of(token), name, frames[:1])
    watchers = [of(token).watch(name) for token in ("secret-of-show", "second-of-show")]
    try:
        assert [next(watcher).step.step for watcher in watchers] == [0, 0]
        refusal = refused(lambda: next(of("second-of-show").watch(name)))
        assert refusal.kind == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS")
        assert refusal.retry_after
        watchers.append(of("secret-of-other").watch(name))
        assert next(watchers[-1]).step.step == 0
    finally:
        for watcher in watchers:
            watcher.cancel()
