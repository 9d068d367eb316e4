"""Short runs of benchmarks.endurance against real services: nothing fails, and what it is to provoke happens."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from support.deployment import Deployment, Standalone
from support.frames import Frame

from benchmarks.endurance import lives, overload, slots
from benchmarks.endurance.watch import Watch

ENDED_TTL, PAUSE = 0.5, 2.0
SLOTS = 16


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Deployment]:
    """A server with little room and an archive."""
    folder = tmp_path_factory.mktemp("small")
    settings = {"SHELM_MAX_IN_FLIGHT": "24", "SHELM_SLOTS": str(SLOTS), "SHELM_ARCHIVE": str(folder / "archive")}
    settings["SHELM_ENDED_TTL"] = str(ENDED_TTL)
    with Standalone(folder / "run", settings).running() as running:
        yield running


def images(frames: Sequence[Frame]) -> list[tuple[int, int, bytes]]:
    """As the client processes take them; fewer than there are slots."""
    return [(frame.shape[0], frame.shape[1], frame.tobytes()) for frame in frames[: SLOTS // 4]]


def test_refused_acts_are_told_when_to_retry_and_all_succeed(small: Deployment, frames: Sequence[Frame]) -> None:
    with Watch({"standalone": small.pids()["standalone"]}, small.redis_url, every=0.1) as watch:
        tally, took = overload.closed_loop(small.target, images(frames), 64, 1.0, 0.0)
    found = overload.row(tally, 64, took)
    assert overload.violations({**found, "ended_processes": watch.ended, "growing": []}) == []
    assert found["refused"] > 0
    assert found["acts"] > 0
    lengths = {len(values) for values in [watch.series["second"], *watch.series["standalone"].values()]}
    assert len(lengths) == 1
    assert lengths.pop() >= 2


def test_states_that_lost_their_slots_are_rebuilt_to_the_same_answers(small: Deployment, frames: Sequence[Frame]) -> None:
    found = slots.play(small.target, images(frames), 60, 40)
    assert found.counts["rebuilt"] > 0
    assert (found.counts["differing"], found.tally.failed) == (0, {})
    assert found.counts["compared"] == len(found.tally.accepted) > 60
    assert found.counts["ended"] + found.counts["left"] == 60


async def test_every_kind_of_life_ends_well(
    small: Deployment, frames: Sequence[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("EPISODE_TTL", PAUSE), ("ENDED_TTL", ENDED_TTL), ("AFTER", 1.0), ("LONGEST", 4)):
        monkeypatch.setattr(lives, name, value)
    soak = lives.Lives(small.target, frames, think=0.01)
    await asyncio.gather(*(soak._live(kind, life(soak._name())) for kind, (_, life) in soak.kinds.items()))
    await soak.run(0.2, 2)
    assert soak.failures == []
    assert all(soak.counts[kind] for kind in (*soak.kinds, "listed"))
    archive = await soak.archive_holds()
    await soak.close()
    assert archive["missing"] == 0
    assert archive["held"] >= len(soak.archived) > 0


async def test_a_memory_that_is_not_what_was_answered_is_a_failure(small: Deployment, frames: Sequence[Frame]) -> None:
    soak = lives.Lives(small.target, frames, think=0.0)

    async def forgetful(name: str) -> None:
        words = await soak._steps(name, 2)
        await soak._check(name, words[:1])

    await soak._live("forgetful", forgetful(soak._name()))
    await soak.close()
    assert soak.counts["failed"] == 1
    assert soak.failures[0].startswith("forgetful: CheckFailed: memory: expected")
