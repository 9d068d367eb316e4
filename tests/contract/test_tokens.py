"""Bearer tokens with scopes: who may act, who may only read; and that the services behind the gateway still work."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import grpc
import pytest
from fuzz_live import Served
from run import run_session
from shelm.v1 import agent_pb2
from support.deployment import Deployment
from support.errors import Code, refused
from support.frames import Frame, raw
from support.gateway import Gateway, act_request
from support.ways import DEPLOYMENTS

TOKENS = """
# TOKEN NAME SCOPES
secret-of-actor   actor  act,read  tenant=-
secret-of-player  player act       tenant=-
secret-of-reader  reader read      tenant=-
secret-of-admin   admin  admin
secret-of-anybody tenant=-
secret-of-policy  policy inner
"""
Call = Callable[[Gateway, str], object]


@pytest.fixture(scope="module", params=list(DEPLOYMENTS))
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _no_settings: None
) -> Iterator[Deployment]:
    """The services with a token file."""
    folder = tmp_path_factory.mktemp("guarded")
    tokens = folder / "tokens"
    tokens.write_text(TOKENS)
    with DEPLOYMENTS[request.param](folder / "run", {"SHELM_TOKENS_FILE": str(tokens)}).running() as running:
        yield running


def test_damaged_tokens_open_nothing_and_end_nothing(guarded: Deployment) -> None:
    before = guarded.pids()
    inner = {"retrieval": guarded.retrieval_target, "memory": guarded.memory_target} if guarded.apart else {}
    secrets = [line.split()[0] for line in TOKENS.splitlines() if line and not line.startswith("#")]
    served = Served(targets={"policy": guarded.target, **inner}, secrets=secrets)
    outcome = asyncio.run(run_session(served, "tokens", 0, 300, 1000.0, keep=False))
    assert outcome.failed == []
    assert guarded.pids() == before
    assert guarded.gateway.serving()
    assert "Traceback" not in guarded.logs(10_000)


@pytest.fixture
def episode(guarded: Deployment, name: str, frames: Sequence[Frame]) -> str:
    """An episode with two steps."""
    with Gateway(guarded.target, token="secret-of-actor") as gateway:
        for step in range(2):
            gateway.act(name, step, frames[step])
    return name


def read_calls(name: str, frames: Sequence[Frame]) -> list[Callable[[Gateway], object]]:
    explained = agent_pb2.ExplainStepRequest(episode_id=name, step=1, observation=raw(frames[1]))
    asked = agent_pb2.WhatIfRequest(episode_id=name, step=1, observation=raw(frames[1]))
    return [
        lambda gateway: gateway.episode(name),
        lambda gateway: gateway.memory(name),
        lambda gateway: next(gateway.watch(name)),
        lambda gateway: gateway.call("ExplainStep", explained),
        lambda gateway: gateway.call("WhatIf", asked),
        lambda gateway: gateway.agent(),
        lambda gateway: gateway.call("ListAgents", agent_pb2.ListAgentsRequest()),
        lambda gateway: gateway.call("ListEpisodes", agent_pb2.ListEpisodesRequest()),
    ]


def act_calls(name: str, frames: Sequence[Frame]) -> list[Callable[[Gateway], object]]:
    branched = agent_pb2.BranchEpisodeRequest(episode_id=f"{name}:branched", source_episode_id=name, step=1)
    return [
        lambda gateway: gateway.act(name, 1, frames[1]),
        lambda gateway: gateway.act_batch([act_request(name, 1, frames[1])]),
        lambda gateway: list(gateway.act_stream([act_request(name, 1, frames[1])])),
        lambda gateway: gateway.create(f"{name}:created"),
        lambda gateway: gateway.call("BranchEpisode", branched),
        lambda gateway: gateway.end(name),
    ]


@pytest.mark.parametrize("token", ["", "secret", "secret-of-actor2", "SECRET-OF-ACTOR", "#", "actor"])
def test_without_a_valid_token_every_method_is_unauthenticated(
    guarded: Deployment, episode: str, frames: Sequence[Frame], token: str
) -> None:
    with Gateway(guarded.target, token=token) as gateway:
        for call in read_calls(episode, frames) + act_calls(episode, frames):
            refusal = refused(lambda call=call: call(gateway))  # type: ignore[misc]
            assert refusal.kind == (Code.UNAUTHENTICATED, "UNAUTHENTICATED")
            assert "secret" not in refusal.message
    with Gateway(guarded.target, token="secret-of-admin") as gateway:
        assert not gateway.episode(episode).ended


def test_a_token_to_read_reads_everything_and_changes_nothing(
    guarded: Deployment, episode: str, frames: Sequence[Frame]
) -> None:
    with Gateway(guarded.target, token="secret-of-reader") as gateway:
        for call in read_calls(episode, frames):
            call(gateway)
        for call in act_calls(episode, frames):
            refusal = refused(lambda call=call: call(gateway))  # type: ignore[misc]
            assert (refusal.kind, refusal.metadata) == ((Code.PERMISSION_DENIED, "PERMISSION_DENIED"), {"scope": "act"})
        assert not gateway.episode(episode).ended


def test_a_token_to_act_acts_and_reads_nothing(guarded: Deployment, episode: str, frames: Sequence[Frame]) -> None:
    with Gateway(guarded.target, token="secret-of-player") as gateway:
        for call in read_calls(episode, frames):
            refusal = refused(lambda call=call: call(gateway))  # type: ignore[misc]
            assert (refusal.kind, refusal.metadata) == ((Code.PERMISSION_DENIED, "PERMISSION_DENIED"), {"scope": "read"})
        for call in act_calls(episode, frames):
            call(gateway)


@pytest.mark.parametrize("token", ["secret-of-admin", "secret-of-anybody"])
def test_a_token_for_everything_acts_and_reads(
    guarded: Deployment, episode: str, frames: Sequence[Frame], token: str
) -> None:
    with Gateway(guarded.target, token=token) as gateway:
        for call in read_calls(episode, frames) + act_calls(episode, frames):
            call(gateway)


def test_a_recorded_frame_needs_the_scope_to_read(guarded: Deployment, episode: str) -> None:
    request = agent_pb2.GetFrameRequest(episode_id=episode, step=0)
    for token, reason in (
        ("secret-of-policy", "PERMISSION_DENIED"),
        ("secret-of-player", "PERMISSION_DENIED"),
        ("secret-of-reader", "RECORDING_OFF"),
    ):
        with Gateway(guarded.target, token=token) as gateway:
            assert refused(partial(gateway.call, "GetFrame", request)).reason == reason


def test_a_message_is_not_read_before_its_token(guarded: Deployment, name: str) -> None:
    """Not even one that is larger than any that would be read."""
    image = agent_pb2.Image(data=bytes(100 * 2**20))
    request = agent_pb2.ActRequest(episode_id=name, step=0, observation=image)
    with Gateway(guarded.target) as stranger, Gateway(guarded.target, token="secret-of-actor") as actor:
        assert refused(lambda: stranger.call("Act", request)).reason == "UNAUTHENTICATED"
        with pytest.raises(grpc.RpcError) as caught:
            actor.call("Act", request)
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED


def test_compressed_requests_are_not_unpacked(guarded: Deployment, episode: str) -> None:
    request = agent_pb2.GetEpisodeRequest(episode_id=episode)
    with Gateway(guarded.target, token="secret-of-actor") as gateway:
        with pytest.raises(grpc.RpcError) as caught:
            gateway.stub.GetEpisode(request, metadata=gateway.metadata, timeout=10, compression=grpc.Compression.Gzip)
        assert caught.value.code() is Code.UNIMPLEMENTED
        assert gateway.episode(episode).committed_step == 1


def test_health_needs_no_token(guarded: Deployment) -> None:
    with Gateway(guarded.target) as gateway:
        assert gateway.serving()
        assert gateway.serving("shelm.v1.AgentService")


def test_no_log_holds_a_token(guarded: Deployment, episode: str, frames: Sequence[Frame]) -> None:
    with Gateway(guarded.target, token="secret-of-nobody") as gateway:
        refused(lambda: gateway.act(episode, 2, frames[2]))
    logs = guarded.logs(100_000)
    assert "serves on" in logs
    assert "secret-of" not in logs
