"""Places of calls under way, by account."""

import pytest

from services.runtime.auth import ANYBODY, set_caller
from services.runtime.errors import ServiceError, too_many
from services.runtime.in_flight import InFlight
from services.runtime.tokens import Token


def token(name: str, tenant: str = "", *scopes: str) -> Token:
    return Token("secret", name, frozenset(scopes), tenant)


async def test_tokens_of_a_tenant_share_its_places_and_others_have_their_own() -> None:
    places = InFlight(1, lambda: too_many("calls", 1))
    set_caller(token("one", "acme"))
    with places.place():
        for other in (token("two", "other"), token("three"), token("four"), token("boss", "", "admin"), ANYBODY):
            set_caller(other)
            with places.place():
                pass
        set_caller(token("two", "acme"))
        with pytest.raises(ServiceError) as refused, places.place():
            pytest.fail("it was let in")
        assert (refused.value.reason, bool(refused.value.retry_after)) == ("QUEUE_FULL", True)
    with places.place():
        pass
    assert not places._running, "an account that has no calls takes no memory"


async def test_a_call_that_fails_gives_its_place_back() -> None:
    places = InFlight(1, lambda: too_many("calls", 1))
    for _ in range(2):
        with pytest.raises(LookupError), places.place():
            raise LookupError
