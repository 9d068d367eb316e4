"""The end of an episode, on a real Redis: how long it stays, how it gets into the archive, how it is deleted."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
import redis.asyncio
from shelm.v1 import agent_pb2
from support.stored import AGENT, TTL

from agent.history import extend_history
from agent.vocabulary import Word
from deploy.local.stack import free_port
from services.policy.archive.archive import Archive
from services.policy.archive.archiver import Archiver
from services.policy.archive.reader import Episodes
from services.policy.service import AgentServicer
from services.protocol.values import CommittedStep, EpisodeState
from services.runtime.errors import ServiceError
from services.runtime.slices import Slices
from services.store.episodes import READ, Committed, EpisodeStore, new_episode
from services.store.keys import deletion_key, episode_key, history_key
from services.store.pressure import Pressure
from services.store.redis import connect_redis
from services.store.replication import FreeingScript, Scripts

ENDED_TTL = 60.0


@pytest.fixture(autouse=True)
async def _no_limit(client: "redis.asyncio.Redis") -> AsyncIterator[None]:
    """Takes away again what a test has made of Redis's memory."""
    yield
    await client.config_set("maxmemory", 0)


@pytest.fixture
def store(client: "redis.asyncio.Redis") -> EpisodeStore:
    return EpisodeStore(client, ttl=TTL, ended_ttl=ENDED_TTL, archive=True, retained=10_000)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path))


async def play(store: EpisodeStore, name: str, count: int) -> EpisodeState:
    """Commits steps of a new episode."""
    state = new_episode(name, agent="tiny", agent_digest=AGENT)
    for step in range(count):
        word = Word(step % 50, f"word-{step % 50}", 0.5)
        after = extend_history(state.history_digest, [word.row])
        record = CommittedStep(
            words=(word,),
            action=step % 7,
            value=0.25,
            log_prob=-0.5,
            frame_fingerprint=step.to_bytes(16, "big"),
            history_digest=after,
            time_us=1_000_000 + step,
        )
        assert await store.commit(state, step, record) == Committed()
        state = replace(state, history_digest=after, committed=step, length=step + 1)
    return state


async def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    """Waits until `true` is."""
    end = time.monotonic() + seconds
    while not await true():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.02)


def is_archived(store: EpisodeStore, name: str) -> Callable[[], Any]:
    async def look() -> bool:
        state, _ = await store.read(name)
        return state is not None and state.archived

    return look


@pytest.mark.parametrize("archive", [False, True])
async def test_an_ended_episode_stays_short_but_where_it_is_still_to_be_archived(
    client: "redis.asyncio.Redis", archive: bool
) -> None:
    store = EpisodeStore(client, ttl=TTL, ended_ttl=ENDED_TTL, archive=archive, retained=100)
    await play(store, "episode", 2)
    ended = await store.end("episode")
    assert ended
    left = TTL if archive else ENDED_TTL
    for key in (episode_key("episode"), history_key("episode")):
        assert left - 10 < await client.pttl(key) / 1000 <= left


@pytest.mark.parametrize("steps", [0, 3, READ, READ + 1])
async def test_what_is_archived_is_what_was_stored_and_then_it_stays_short(
    store: EpisodeStore, client: "redis.asyncio.Redis", archive: Archive, steps: int
) -> None:
    archiver, reader = Archiver(store, archive), Episodes(store, archive)
    archiver.start()
    if not steps:
        await store.create(new_episode("episode", agent="tiny", agent_digest=AGENT))
    await play(store, "episode", steps)
    await store.end("episode", 1.5)
    before = await store.steps("episode", first=0, limit=steps + 1)
    archiver.put("episode")
    await until(is_archived(store, "episode"))
    assert ENDED_TTL - 10 < await client.pttl(episode_key("episode")) / 1000 <= ENDED_TTL
    await client.delete(episode_key("episode"), history_key("episode"))  # as if it had expired
    state, found = await reader.steps("episode", first=0, limit=steps + 1)
    assert found == before[1]
    assert state == replace(before[0], archived=True, ttl_ms=0)  # type: ignore[type-var]
    if steps > 2:
        assert (await reader.steps("episode", first=1, limit=1))[1] == before[1][1:2]
        assert (await reader.read("episode", 2))[1] == before[1][2][1]
    await archiver.close()


async def test_trimmed_steps_are_archived_from_the_first_that_is_left(
    client: "redis.asyncio.Redis", archive: Archive
) -> None:
    store = EpisodeStore(client, ttl=TTL, archive=True, retained=5)
    archiver = Archiver(store, archive)
    archiver.start()
    await play(store, "episode", 12)
    await store.end("episode")
    archiver.put("episode")
    await until(is_archived(store, "episode"))
    found = archive.read("episode")
    assert found
    assert (found[1], len(found[2])) == (7, 5)
    await archiver.close()


async def test_a_sweep_finds_what_a_killed_process_has_left(
    store: EpisodeStore, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.policy.archive.archiver.FRESH", 0.0)
    for name in ("ended", "running"):
        await play(store, name, 2)
    await store.end("ended")  # and nobody was told
    archiver = Archiver(store, archive, sweep_every=0.05)
    archiver.start()
    await until(is_archived(store, "ended"))
    assert archive.read("running") is None
    await archiver.close()


async def test_an_archive_that_is_away_loses_nothing(
    store: EpisodeStore, client: "redis.asyncio.Redis", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.policy.archive.archiver.FRESH", 0.0)
    (tmp_path / "away").write_text("a file where the folder should be")
    archiver = Archiver(store, Archive(str(tmp_path / "away")), sweep_every=0.05)
    archiver.start()
    await play(store, "episode", 2)
    await store.end("episode")
    archiver.put("episode")
    await asyncio.sleep(0.3)
    state, _ = await store.read("episode")
    assert state
    assert not state.archived
    assert state.ttl_ms > 1000 * ENDED_TTL  # stays as long as a running one
    (tmp_path / "away").unlink()
    await until(is_archived(store, "episode"))
    await archiver.close()


async def test_a_reward_that_is_told_later_reaches_the_archive(store: EpisodeStore, archive: Archive) -> None:
    archiver = Archiver(store, archive)
    archiver.start()
    await play(store, "episode", 1)
    for reward in (None, 2.5):
        await store.end("episode", reward)
        archiver.put("episode")
        await until(is_archived(store, "episode"))

    async def rewarded() -> bool:
        found = archive.read("episode")
        return found is not None and found[0].total_reward == 2.5

    await until(rewarded)
    await archiver.close()


async def test_a_damaged_episode_is_not_archived_as_if_it_were_whole(
    store: EpisodeStore, client: "redis.asyncio.Redis", archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    await play(store, "episode", 4)
    await client.xdel(history_key("episode"), "2-0")
    await store.end("episode")
    archiver = Archiver(store, archive)
    archiver.start()
    archiver.put("episode")
    await until(lambda: asyncio.sleep(0, "is not archived" in caplog.text))
    assert archive.read("episode") is None
    await archiver.close()


async def test_a_deleted_episode_is_gone_and_not_brought_back_by_an_archiver_that_has_read_it(
    store: EpisodeStore, client: "redis.asyncio.Redis", archive: Archive
) -> None:
    state = await play(store, "episode", 2)
    await store.end("episode")

    class Slow(Archive):
        def write(self, *episode: Any) -> None:
            asyncio.run_coroutine_threadsafe(store.delete("episode"), loop).result(10)
            super().write(*episode)

    loop = asyncio.get_running_loop()
    slow = Slow(str(archive._place._root))
    archiver = Archiver(store, slow)
    archiver.start()
    archiver.put("episode")
    await asyncio.wait_for(archiver._names.join(), 20)
    assert await store.read(state.episode_id) == (None, None)
    assert await client.exists(history_key("episode"), deletion_key("episode")) == 1  # that it was deleted
    assert archive.read("episode") is None
    await archiver.close()


async def test_deleting_waits_for_a_copy_that_is_being_written_so_that_nothing_is_left_when_it_returns(
    store: EpisodeStore, archive: Archive
) -> None:
    await play(store, "episode", 2)
    await store.end("episode")
    writing, go_on = threading.Event(), threading.Event()

    class Slow(Archive):
        def write(self, *episode: Any) -> None:
            writing.set()
            assert go_on.wait(20)
            super().write(*episode)

    slow = Slow(str(archive._place._root))
    archiver = Archiver(store, slow)
    archiver.start()
    archiver.put("episode")
    assert await asyncio.to_thread(writing.wait, 20)
    servicer = deleting(store, slow, archiver)
    deletion = asyncio.create_task(servicer.DeleteEpisode(agent_pb2.DeleteEpisodeRequest(episode_id="episode"), MagicMock()))
    done, _ = await asyncio.wait([deletion], timeout=0.5)
    assert not done, "a copy that is written now would be read after the episode is said to be gone"
    go_on.set()
    assert (await deletion).deleted
    assert archive.read("episode") is None
    await archiver.close()


def deleting(store: EpisodeStore, archive: Archive, archiver: Archiver) -> AgentServicer:
    """A servicer of which nothing but DeleteEpisode works."""
    needed = {
        name: AsyncMock() for name in ("agents", "admission", "brancher", "memory", "explainer", "what_if", "searcher")
    }
    frames = AsyncMock(**{"delete.return_value": False})
    return AgentServicer(
        store=store,
        episodes=Episodes(store, archive),
        archiver=archiver,
        actor=MagicMock(),
        frames=frames,
        max_batch_items=1,
        max_watchers=1,
        max_tenant_watchers=1,
        slices=Slices(),
        **needed,
    )


async def test_deleting_says_whether_there_was_one(store: EpisodeStore) -> None:
    await play(store, "episode", 1)
    assert await store.delete("episode")
    assert not await store.delete("episode")


async def test_an_archive_that_cannot_be_read_is_unavailable(store: EpisodeStore, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir()
    reader = Episodes(store, Archive(str(tmp_path / "shut")))
    assert await reader.read("episode") == (None, None)

    class Away(Archive):
        def read(self, episode_id: str) -> Any:
            raise ConnectionError("S3 is away")

    away, none = Episodes(store, Away(str(tmp_path))), Episodes(store, None)
    for call in (away.read("episode"), none.archived_page("", 1, tenant=None)):
        with pytest.raises(ServiceError) as error:
            await call
        assert error.value.reason in ("ARCHIVE_UNAVAILABLE", "ARCHIVE_OFF")


async def test_an_episode_ends_and_is_deleted_while_redis_is_full(
    store: EpisodeStore, client: "redis.asyncio.Redis"
) -> None:
    for name in ("ended", "deleted"):
        await play(store, name, 1)
    await client.config_set("maxmemory", 1)
    with pytest.raises(ServiceError):
        await play(store, "new", 1)
    ended = await store.end("ended", 1.0)
    assert ended
    assert ended[0].total_reward == 1.0
    assert await store.archived(ended[0])
    assert await store.delete("deleted")


async def test_a_redis_that_knows_no_flags_runs_the_script_without_them(client: "redis.asyncio.Redis") -> None:
    script = FreeingScript(Scripts(client), "return KEYS[1]")
    # What Redis 6 says to the flags: there is none here to ask, so this is what no version can compile.
    script._flagged = client.register_script("return = 1")
    for _ in range(2):
        assert await script(["key"], []) == b"key"
    assert script._flagged is None


async def test_pressure_is_full_from_the_mark_on_and_ends_below_it(
    store: EpisodeStore, client: "redis.asyncio.Redis"
) -> None:
    pressure = Pressure(client, mark=0.9)
    await pressure.measure()
    assert not pressure.full  # no limit
    used = (await client.info("memory"))["used_memory"]
    for limit, full in ((2 * used, False), (int(1.02 * used), True), (3 * used, False)):
        await client.config_set("maxmemory", limit)
        await pressure.measure()
        assert pressure.full is full


async def test_a_redis_that_is_away_changes_nothing_about_the_pressure() -> None:
    pressure = Pressure(connect_redis(f"redis://127.0.0.1:{free_port()}/0", timeout=0.2), mark=0.9)
    for full in (True, False):
        pressure.full = full
        await pressure.measure()
        assert pressure.full is full
