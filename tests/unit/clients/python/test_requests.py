"""Arguments that cannot be meant are refused by name before anything is sent, by every method that takes them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from shelm import Client, errors
from support.stand_in import StandIn, frame, serving


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def client(stand_in: StandIn) -> Iterator[Client]:
    with serving(stand_in) as target, Client(target) as client:
        yield client


CALLS: list[Callable[[Client, Any], Any]] = [
    lambda client, name: client.act(frame(0), name),
    lambda client, name: client.act_batch({name: frame(0), "other": frame(1)}),
    lambda client, name: client.create_episode(name),
    lambda client, name: client.resume(name),
    lambda client, name: client.end_episode(name),
    lambda client, name: client.delete_episode(name),
    lambda client, name: client.get_episode(name),
    lambda client, name: list(client.memory(name)),
    lambda client, name: list(client.watch_memory(name)),
    lambda client, name: client.explain(name, 0),
    lambda client, name: client.frame(name, 0),
    lambda client, name: client.episode(name).__enter__(),
]


@pytest.mark.parametrize("name", [7, 0, 1.5, b"a", ("a",)])
@pytest.mark.parametrize("call", CALLS)
def test_an_episode_has_a_name_not_a_number(client: Client, stand_in: StandIn, call: Any, name: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="episode_id: expected a str, given "):
        call(client, name)
    assert not stand_in.requests


def test_a_name_of_numpy_is_a_name(client: Client, stand_in: StandIn) -> None:
    client.act(frame(0), np.array(["a"])[0])
    assert client.act(frame(1), "a").step == 1


@pytest.mark.parametrize("wrong", [1.5, 1.0, "1", float("nan"), np.float32(2)])
def test_a_seed_or_step_is_an_integer(client: Client, stand_in: StandIn, wrong: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="seed: expected an integer, given "):
        client.create_episode("a", seed=wrong)
    with pytest.raises(errors.InvalidArgument, match="step: expected an integer, given "):
        client.act(frame(0), "a", step=wrong)
    assert not stand_in.requests
    client.create_episode("a", seed=np.int64(3))  # type: ignore[arg-type]  # as generators of numpy give it
    assert stand_in.requests["CreateEpisode"][0].seed == 3


def test_a_closed_client_says_so(client: Client, stand_in: StandIn) -> None:
    client.close()
    for call in CALLS:
        with pytest.raises(errors.ClientClosed, match=r"is closed .*; make a new client"):
            call(client, "a")
    with pytest.raises(errors.ClientClosed):
        client.ping()
    client.close()  # once more does no harm
    assert not stand_in.requests
