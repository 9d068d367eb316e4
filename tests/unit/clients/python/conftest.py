"""A stand-in server with small frames, and a client of it; files that need others have their own."""

from collections.abc import Iterator

import pytest
from shelm import Client
from support.stand_in import StandIn, serving


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn(shape=(4, 5))


@pytest.fixture
def client(stand_in: StandIn) -> Iterator[Client]:
    with serving(stand_in) as target, Client(target) as client:
        yield client
