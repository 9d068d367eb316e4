"""What the clients saw becomes figures, and what must not be is named."""

from collections import Counter
from typing import Any

from benchmarks.endurance.caller import Tally
from benchmarks.endurance.overload import by_second, row, violations


def tally(**changes: Any) -> Tally:
    """Four Acts, of which one was refused twice."""
    fine: dict[str, Any] = {
        "accepted": [0.1, 0.1, 0.1, 0.3],
        "whole": [0.1, 0.1, 0.1, 1.3],
        "answered_at": [0.5, 0.6, 1.5, 2.5],
        "in_policy": [0.1],
        "waits": [1.3],
        **{"refused": 1, "recovered": 1, "refusals": 2, "advised": 2},
    }
    return Tally(**{**fine, **changes})


def judged(**changes: Any) -> list[str]:
    """What is said of them."""
    return violations({**row(tally(**changes), 4, 2.0), "ended_processes": [], "growing": []})


def test_the_row_has_shares_and_percentiles() -> None:
    found = row(tally(), 4, 2.0)
    assert (found["acts"], found["rate"], found["refused_share"]) == (4, 2.0, 0.25)
    assert found["accepted"]["longest_ms"] == 300.0
    assert found["with_waiting"]["longest_ms"] == 1300.0
    assert judged() == []


def test_what_must_not_be_is_named() -> None:
    assert judged(failed=Counter({"INTERNAL": 2})) == ["2 Acts failed with INTERNAL"]
    assert judged(recovered=0) == ["1 refused Acts did not succeed"]
    assert judged(advised=1) == ["refusals without advice"]


def test_seconds_that_were_answered_in_whole_are_counted() -> None:
    assert by_second(tally()) == {"rate": [2.0, 1.0], "p99_ms": [100.0, 100.0]}
    assert by_second(Tally()) == {"rate": [], "p99_ms": []}
