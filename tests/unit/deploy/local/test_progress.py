"""How far a start has come: each process is told once, those that policy needs no later than policy."""

import pytest

from deploy.local import progress
from deploy.local.progress import Progress

ADDRESSES = dict.fromkeys(("redis", "inspector", "retrieval", "memory", "policy"), "127.0.0.1:1")


def told(monkeypatch: pytest.MonkeyPatch, *looks: set[str], still_every: float = 1000.0) -> list[list[str]]:
    """The lines of each look; looks: what answers then that it is ready."""
    lines: list[str] = []
    monkeypatch.setattr(progress, "STILL_EVERY", still_every)
    one, all_lines = Progress(ADDRESSES, lines.append), []
    for ready in looks:
        monkeypatch.setattr(one, "_is_ready", ready.__contains__)
        one.look()
        all_lines.append(lines[:])
        lines.clear()
    one.close()
    return all_lines


def names(lines: list[str]) -> list[str]:
    return [line.partition(" is ready after ")[0] for line in lines]


def test_each_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = told(monkeypatch, {"redis"}, {"redis", "memory"}, {"redis", "memory", "retrieval"}, set(ADDRESSES))
    assert [names(lines) for lines in looks] == [["redis"], ["memory"], ["retrieval"], ["inspector", "policy"]]


def test_what_policy_needs_is_ready_when_policy_is_and_the_inspector_is_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = told(monkeypatch, {"redis", "policy"}, {"inspector"})
    assert [names(lines) for lines in looks] == [["redis", "retrieval", "memory", "policy"], ["inspector"]]


def test_what_still_starts_is_told_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    [lines] = told(monkeypatch, {"redis", "inspector"}, still_every=0.0)
    assert lines[-1].endswith(": retrieval, memory, policy")


def test_what_cannot_be_reached_is_not_ready() -> None:
    one = Progress(ADDRESSES, lambda line: None)
    one.look()
    assert one.waiting == list(ADDRESSES)
    one.close()
