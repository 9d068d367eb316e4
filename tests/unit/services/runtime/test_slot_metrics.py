"""The metrics of memory slots are asked for in the event loop of the service, from the thread of the exporter."""

import asyncio

from prometheus_client import REGISTRY

from agent.memory.slots import SlotCounts
from services.runtime.slot_metrics import export_slots

HERE, AWAY = ("here", "0123"), ("away", "4567")


async def here() -> SlotCounts:
    return SlotCounts(slots=4, used=3, hits=20, repeats=2, rebuilds=5, evictions=1)


async def away() -> SlotCounts:
    raise ConnectionError("the model server is away")


def sample(name: str, agent: tuple[str, str]) -> float | None:
    return REGISTRY.get_sample_value(name, {"agent": agent[0], "digest": agent[1]})


async def test_an_engine_that_is_away_is_left_out_of_the_scrape_and_the_others_are_not() -> None:
    export_slots({HERE: here, AWAY: away})
    try:
        assert await asyncio.to_thread(sample, "shelm_memory_slots", HERE) == 4
        assert await asyncio.to_thread(sample, "shelm_memory_slots_used", HERE) == 3
        assert await asyncio.to_thread(sample, "shelm_memory_rebuilds_total", HERE) == 5
        assert await asyncio.to_thread(sample, "shelm_memory_slots", AWAY) is None
    finally:
        export_slots({})


def test_a_service_that_has_stopped_has_no_slots() -> None:
    async def run() -> None:
        export_slots({HERE: here})

    asyncio.run(run())
    assert sample("shelm_memory_slots", HERE) is None
