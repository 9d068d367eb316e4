"""Replicas of a server that is called: a home for each key, and the next one when it is away."""

import asyncio
from collections import Counter

import grpc
import pytest

from services.runtime.errors import ServiceError, invalid
from services.runtime.replicas import Replicas

KEYS = [f"episode-{i}".encode() for i in range(300)]


class Peer:
    """Stands for a connection to one replica, whose health the test decides."""

    def __init__(self, address: str, host: str) -> None:
        self.host = host
        self.address, self.ready, self.hangs = address, True, False

    async def missing(self) -> list[str]:
        return [] if self.ready else [f"{self.address}: not serving"]

    async def work(self) -> str:
        if self.hangs:
            await asyncio.sleep(60)
        if not self.ready:
            raise ServiceError(grpc.StatusCode.UNAVAILABLE, "GONE", f"{self.address} is gone")
        return self.address


def unavailable(text: str) -> ServiceError:
    return ServiceError(grpc.StatusCode.UNAVAILABLE, "NOBODY", text)


def some_replicas(count: int) -> tuple[Replicas[Peer], dict[str, Peer]]:
    peers: dict[str, Peer] = {}

    def connect(address: str, host: str) -> Peer:
        peers[address] = Peer(address, host)
        return peers[address]

    target = ",".join(f"127.0.0.{i + 1}:50053" for i in range(count))
    return Replicas(target, "memory", connect, unavailable), peers


async def homes(replicas: Replicas[Peer]) -> dict[bytes, str]:
    return {key: await replicas.call(key, Peer.work) for key in KEYS}


async def test_every_key_has_one_home_and_each_replica_its_share() -> None:
    replicas, _ = some_replicas(3)
    first = await homes(replicas)
    assert await homes(replicas) == first
    assert all(60 < count < 140 for count in Counter(first.values()).values())


async def test_a_replica_that_joins_takes_its_share_and_moves_nothing_else() -> None:
    before, after = await homes(some_replicas(3)[0]), await homes(some_replicas(4)[0])
    moved = [key for key in KEYS if before[key] != after[key]]
    assert 40 < len(moved) < 120
    assert {after[key] for key in moved} == {"127.0.0.4:50053"}


async def test_the_next_replica_is_asked_when_the_home_is_gone_and_the_home_again_when_it_is_back() -> None:
    replicas, peers = some_replicas(3)
    before = await homes(replicas)
    peers["127.0.0.2:50053"].ready = False
    during = await homes(replicas)
    assert "127.0.0.2:50053" not in during.values()
    assert all(during[key] == home for key, home in before.items() if home != "127.0.0.2:50053")
    assert await replicas.missing() == []
    peers["127.0.0.2:50053"].ready = True
    assert await replicas.missing() == []
    assert await homes(replicas) == before


async def test_a_call_that_hangs_at_a_replica_cut_off_goes_on_at_the_next() -> None:
    replicas, peers = some_replicas(2)
    home = await replicas.call(KEYS[0], Peer.work)
    peers[home].hangs = True
    call = asyncio.create_task(replicas.call(KEYS[0], Peer.work))
    await asyncio.sleep(0.05)
    assert not call.done()
    peers[home].ready = False
    await replicas.missing()  # as the server's readiness check asks twice a second
    assert await asyncio.wait_for(call, 5) != home


async def test_without_any_replica_the_error_is_unavailable_and_every_one_is_named_missing() -> None:
    replicas, peers = some_replicas(2)
    await replicas.missing()
    for peer in peers.values():
        peer.ready = False
    assert len(await replicas.missing()) == 2
    with pytest.raises(ServiceError) as caught:
        await replicas.call(KEYS[0], Peer.work)
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


async def test_the_caller_whose_replica_went_away_is_told_no_address() -> None:
    replicas, peers = some_replicas(1)
    await replicas.missing()
    [(address, peer)] = peers.items()
    peer.hangs = True
    call = asyncio.create_task(replicas.call(KEYS[0], Peer.work))
    await asyncio.sleep(0.05)
    peer.ready = False
    await replicas.missing()
    with pytest.raises(ServiceError, match="the memory replica of this step is away") as caught:
        await asyncio.wait_for(call, 5)
    assert address.partition(":")[0] not in caught.value.message


@pytest.mark.parametrize(
    ("target", "host"), [("localhost:1", "localhost"), ("127.0.0.1:1", "127.0.0.1"), ("[::1]:1", "::1"), ("dns:///x:1", "")]
)
async def test_a_connection_is_given_the_name_that_the_certificate_must_be_for(target: str, host: str) -> None:
    made: list[Peer] = []

    def connect(address: str, name: str) -> Peer:
        made.append(Peer(address, name))
        return made[-1]

    await Replicas(target, "memory", connect, unavailable).missing()
    assert {peer.host for peer in made} == {host}


async def test_another_error_than_unavailable_is_not_repeated() -> None:
    replicas, _ = some_replicas(3)
    asked: list[str] = []

    async def refuse(peer: Peer) -> None:
        asked.append(peer.address)
        raise invalid("step", "no")

    with pytest.raises(ServiceError, match="step: no"):
        await replicas.call(KEYS[0], refuse)
    assert len(asked) == 1


async def test_each_leaves_out_replicas_that_are_away() -> None:
    replicas, peers = some_replicas(3)
    await replicas.missing()
    peers["127.0.0.1:50053"].ready = False
    assert sorted(await replicas.each(Peer.work)) == ["127.0.0.2:50053", "127.0.0.3:50053"]


async def test_a_name_stands_for_all_its_addresses_and_one_that_is_unknown_for_none() -> None:
    replicas = Replicas("localhost:50053", "memory", Peer, unavailable)
    assert await replicas.missing() == []
    unknown = Replicas("no-such-host.invalid:50053", "memory", Peer, unavailable)
    assert await unknown.missing() == ["no replica of memory is known"]
    with pytest.raises(ServiceError, match="no replica"):
        await unknown.call(KEYS[0], Peer.work)
