"""How the time of an Act is split, and which steps count."""

from typing import Any

import pytest
from shelm.results import Act, Memory, Timing

from benchmarks.overhead import Blocks, cached, row, stages_ms, unique


def act(**microseconds: int) -> Act:
    timing = {"total_us": 0, "decode_us": 0, "retrieval_us": 0, "memory_us": 0, "policy_us": 0, "commit_us": 0}
    known: dict[str, Any] = {"value": 0.0, "log_prob": 0.0, "committed_step": 0, "replayed": False, "agent_digest": ""}
    memory = Memory(length=1, window=1, rebuilt=False)
    return Act("e", 0, 0, [], memory=memory, timing=Timing(**{**timing, **microseconds}), **known)


def test_what_no_stage_explains_is_queue_and_what_the_server_does_not_see_is_wire() -> None:
    found = stages_ms(
        10.0, act(total_us=8000, decode_us=500, retrieval_us=1000, memory_us=3000, policy_us=1500, commit_us=1000)
    )
    expected = {"decode": 0.5, "retrieval": 1.0, "memory": 3.0, "policy": 1.5, "commit": 1.0, "queue": 1.0, "wire": 2.0}
    assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(10.0)


def test_the_warm_up_does_not_count_and_rounds_are_paired() -> None:
    served, here = Blocks(), Blocks()
    served.p50, here.p50 = [99.0, 2.0, 20.0, 3.0], [99.0, 1.0, 10.0, 1.0]
    served.stages = [{"memory": 50.0}] * 2 + [{"memory": 1.0}] * 6
    found = row("tiny", "cached", "processes", served=served, here=here, block=2)
    assert (found["served_p50_ms"], found["in_process_p50_ms"], found["ratio"]) == (3.0, 1.0, 2.0)
    assert found["stages"] == {"memory": 1.0}
    assert found["shares"] == {"memory": pytest.approx(1 / 3, abs=1e-3)}


@pytest.mark.parametrize("steps", [5, 100])
def test_cached_frames_were_all_seen_in_the_first_block(steps: int) -> None:
    blocks = cached(steps)
    first, second = next(blocks), next(blocks)
    seen = {frame.tobytes() for frame in first}
    assert len(first) == len(second) == steps
    assert {frame.tobytes() for frame in second} <= seen


def test_unique_frames_never_come_again() -> None:
    blocks = unique(20)
    frames = [frame.tobytes() for _ in range(3) for frame in next(blocks)]
    assert len(set(frames)) == 60
