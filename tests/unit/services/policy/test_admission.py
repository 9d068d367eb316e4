"""Which episodes may begin and how many Acts a tenant may ask for: the limits of a tokens file, on a clock of the test."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from services.policy.admission import Admission
from services.runtime.errors import ServiceError
from services.runtime.tokens import TokensFile
from services.store.census import Census

LINES = "a sim act tenant=acme acts=2 episodes=2\nb page read tenant=acme\nc other act tenant=other\n"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admission(tmp_path: Path, clock: Clock) -> Admission:
    (tmp_path / "tokens").write_text(LINES)
    pressure: Any = SimpleNamespace(full=False)
    return Admission(pressure, Census(MagicMock(), lambda: True), TokensFile(str(tmp_path / "tokens")), clock)


def refusal(call: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value


def test_a_tenant_may_ask_for_its_acts_a_second_and_is_told_when_to_come_back(admission: Admission, clock: Clock) -> None:
    for _ in range(2):
        admission.act("e@acme")
    error = refusal(lambda: admission.act("e@acme"))
    assert error.reason == "TENANT_QUOTA"
    assert error.retry_after == pytest.approx(0.5)
    clock.now += 0.5
    admission.act("other-episode@acme")
    assert refusal(lambda: admission.act("e@acme")).reason == "TENANT_QUOTA"
    clock.now += 3600
    for _ in range(2):
        admission.act("e@acme")
    assert refusal(lambda: admission.act("e@acme")).reason == "TENANT_QUOTA", "it saves up no more than a second's"


def test_others_have_no_limit(admission: Admission) -> None:
    for _ in range(100):
        admission.act("e@other")
        admission.act("e")
        admission.begin("e@other")


def test_a_tenant_has_as_many_episodes_as_it_may(admission: Admission) -> None:
    admission.begin("e-1@acme")
    assert admission.refusal("e-2@acme") is None
    admission.begun("e-2@acme")
    error = refusal(lambda: admission.begin("e-3@acme"))
    assert (error.reason, error.metadata, error.retry_after) == ("TENANT_QUOTA", {"episode_id": "e-3@acme"}, 10.0)


def test_nobody_begins_while_redis_is_full(admission: Admission) -> None:
    admission._pressure.full = True
    assert refusal(lambda: admission.begin("e")).reason == "STORE_FULL"
    admission.act("e")
