"""Objects held once per process: one for a key, freed with its last user, made once by threads that want it together."""

import gc
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.shared import shared


class Weights:
    pass


def test_one_key_has_one_object_and_another_key_another() -> None:
    one, same, other = (shared(("test", key), Weights) for key in (1, 1, 2))
    assert one is same
    assert one is not other


def test_an_object_without_users_is_freed_and_made_anew() -> None:
    made: list[weakref.ref[Weights]] = []

    def make() -> Weights:
        weights = Weights()
        made.append(weakref.ref(weights))
        return weights

    shared("freed", make)
    gc.collect()
    assert made[0]() is None
    assert shared("freed", make) is made[1]()


def test_threads_that_want_it_together_get_the_same_object() -> None:
    def slow() -> Weights:
        time.sleep(0.05)
        return Weights()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: shared("together", slow), range(4)))
    assert len(set(map(id, found))) == 1


def test_what_making_raises_is_passed_on_and_not_kept() -> None:
    def fail() -> Weights:
        raise FileNotFoundError("no weights")

    with pytest.raises(FileNotFoundError, match="no weights"):
        shared("fails", fail)
    assert isinstance(shared("fails", Weights), Weights)


def test_making_may_share_in_its_turn() -> None:
    inner: list[Weights] = []

    def outer() -> Weights:
        inner.append(shared("inner", Weights))
        return Weights()

    kept = shared("outer", outer)
    assert kept is not inner[0]
    assert shared("inner", Weights) is inner[0]
