"""The metadata `shelm-episode`, which proxies hash: what a real server gets of each call, from both clients."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from shelm import AsyncClient, Client, ShelmError
from shelm.routing import HEADER, episode_metadata
from shelm.v1 import agent_pb2
from support.stand_in import StandIn, frame, serving

CALLS: dict[str, Callable[[Client], Any]] = {
    "CreateEpisode": lambda client: client.create_episode("a.b:c-1"),
    "Act": lambda client: client.act(frame(0), "a.b:c-1"),
    "ActBatch": lambda client: client.act_batch({"a.b:c-1": frame(0)}),
    "GetEpisode": lambda client: client.get_episode("a.b:c-1"),
    "GetMemory": lambda client: list(client.memory("a.b:c-1")),
    "EndEpisode": lambda client: client.end_episode("a.b:c-1"),
}


@pytest.mark.parametrize("method", CALLS)
def test_every_call_of_one_episode_names_it(method: str, stand_in: StandIn, client: Client) -> None:
    client.create_episode("a.b:c-1")
    stand_in.metadata = {}
    CALLS[method](client)
    assert stand_in.requests[method]
    assert stand_in.metadata[HEADER] == "a.b:c-1"


def test_a_watch_names_its_episode(stand_in: StandIn, client: Client) -> None:
    client.act(frame(0), "watched")
    stand_in.metadata = {}
    next(client.watch_memory("watched"))
    assert stand_in.metadata[HEADER] == "watched"


def test_the_asyncio_client_does_too(stand_in: StandIn) -> None:
    async def act(target: str) -> None:
        async with AsyncClient(target) as client:
            await client.act(frame(0), "slow")

    with serving(stand_in) as target:
        asyncio.run(act(target))
    assert stand_in.metadata[HEADER] == "slow"


def test_a_batch_of_several_episodes_names_none(stand_in: StandIn, client: Client) -> None:
    client.act_batch({"a": frame(0), "b": frame(0)})
    assert HEADER not in stand_in.metadata


def test_an_admins_call_goes_where_those_of_the_tenant_go() -> None:
    request = agent_pb2.GetMemoryRequest(episode_id="a@robots")
    assert episode_metadata(request) == episode_metadata(agent_pb2.ActRequest(episode_id="a")) == ((HEADER, "a"),)


@pytest.mark.parametrize("name", ["é", "a b", "a\n", "a" * 129, "@robots"])
def test_a_name_that_no_server_takes_reaches_it_without_the_header(name: str, stand_in: StandIn, client: Client) -> None:
    with pytest.raises(ShelmError):
        client.get_episode(name)
    assert stand_in.requests["GetEpisode"][0].episode_id == name
    assert HEADER not in stand_in.metadata
