"""Random lives of episodes, for as long as one likes: they begin, pause, are resumed, repeated, read, watched, explained,
left behind, ended, deleted, and begun again under the same name, while they expire and are archived within seconds.

Contract: each kind of life is a method of `Lives` that checks what it can: the answers against the memory that the server
gives back, before and after an episode has moved to the archive. The shipped client is used as its users would use it.
At the end the archive holds exactly the episodes that were ended and not deleted.

Failure policy: an error that reaches a caller, and a check that fails, is counted and named, and the run goes on.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from shelm import AsyncClient
from shelm.errors import EpisodeNotFound

from agent.frame import Frame

EPISODE_TTL, ENDED_TTL, SLOTS = 40.0, 10.0, 128
AT_ONCE, THINK, LONGEST = 48, 0.8, 12  # lives; mean seconds between two steps; steps
AFTER = 8.0  # seconds after its time within which Redis has forgotten an episode for certain
SETTINGS = {"SHELM_EPISODE_TTL": str(EPISODE_TTL), "SHELM_ENDED_TTL": str(ENDED_TTL), "SHELM_SLOTS": str(SLOTS)}
KEPT = 20  # failures whose text is kept
Words = list[list[int]]


class CheckFailed(Exception):  # noqa: N818
    """The server said something else than it should."""


class Lives:
    """The lives of one run. think: mean seconds between two steps."""

    def __init__(self, target: str, frames: Sequence[Frame], *, think: float = THINK, seed: int = 0) -> None:
        self._client, self._frames, self._think = AsyncClient(target), frames, think
        self._target, self._random, self._run = target, random.Random(seed), uuid.uuid4().hex[:8]
        self.counts, self.failures = Counter[str](), list[str]()
        self.archived: set[str] = set()  # names that the archive must hold in the end
        self.kinds: dict[str, tuple[int, Callable[[str], Awaitable[None]]]] = {
            "ended": (5, self.ended),
            "paused": (3, self.paused),
            "left behind": (2, self.left_behind),
            "deleted": (1, self.deleted),
            "deleted when ended": (1, self.deleted_when_ended),
            "begun again": (1, self.begun_again),
            "read from the archive": (2, self.read_from_archive),
            "watched": (2, self.watched),
            "cut off": (2, self.cut_off),
            "repeated": (1, self.repeated),
            "in a batch": (1, self.batched),
            "explained": (1, self.explained),
        }

    async def run(self, seconds: float, at_once: int) -> None:
        """Lives for some time; those that have begun then are lived to their end."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._one_after_the_other(end) for _ in range(at_once)), self._list(end))

    async def close(self) -> None:
        """Closes the connection."""
        await self._client.close()

    async def _one_after_the_other(self, end: float) -> None:
        names = list(self.kinds)
        weights = [weight for weight, _ in self.kinds.values()]
        while time.monotonic() < end:
            (kind,) = self._random.choices(names, weights)
            await self._live(kind, self.kinds[kind][1](self._name()))

    async def _live(self, kind: str, life: Awaitable[None]) -> None:
        try:
            await life
            self.counts[kind] += 1
        except Exception as error:
            self.counts["failed"] += 1
            if len(self.failures) < KEPT:
                self.failures.append(f"{kind}: {type(error).__name__}: {error}"[:300])

    async def ended(self, name: str) -> None:
        """The usual life: created or not, some steps, its memory read, ended."""
        if self._random.random() < 0.5:
            await self._client.create_episode(name, seed=self._random.randrange(2**32))
        await self._check(name, await self._steps(name, self._length()))
        await self._end(name)

    async def paused(self, name: str) -> None:
        """Another process goes on with it after a while, in which its slot may be lost."""
        words = await self._steps(name, self._length())
        await asyncio.sleep(self._random.uniform(1.0, EPISODE_TTL / 2))
        async with AsyncClient(self._target) as other:
            self._same("next step", await other.resume(name), len(words))
            words += await self._steps(name, self._length(), first=len(words), client=other)
        await self._check(name, words)
        await self._end(name)

    async def left_behind(self, name: str) -> None:
        """Nobody ends it."""
        await self._steps(name, self._length())

    async def deleted(self, name: str) -> None:
        """Deleted while it runs; it is gone."""
        await self._steps(name, self._length())
        await self._delete(name)

    async def deleted_when_ended(self, name: str) -> None:
        """Deleted when Redis, the archive or both have it."""
        await self._steps(name, self._length())
        await self._end(name)
        await asyncio.sleep(self._random.choice((0.0, 1.0, ENDED_TTL + AFTER)))
        await self._delete(name)

    async def begun_again(self, name: str) -> None:
        """A deleted name begins another life."""
        await self._steps(name, self._length())
        await self._delete(name)
        await self._check(name, await self._steps(name, self._length()))
        await self._end(name)

    async def read_from_archive(self, name: str) -> None:
        """Redis has forgotten it, and it is read."""
        words = await self._steps(name, self._length())
        await self._end(name)
        await asyncio.sleep(ENDED_TTL + AFTER)
        info = await self._client.get_episode(name)
        self._same("in Redis or archive", (info.archived, info.expire_time, info.ended), (True, None, True))
        await self._check(name, words)

    async def watched(self, name: str) -> None:
        """One watcher leaves politely, one with its connection, one stays to the end and has seen everything."""
        words = await self._steps(name, 1)
        async with AsyncClient(self._target) as other:
            staying = asyncio.create_task(self._watch(self._client, name))
            leaving = asyncio.create_task(self._watch(self._client, name, steps=2))
            vanishing = asyncio.create_task(self._watch(other, name))
            words += await self._steps(name, 2 + self._length(), first=1)
            self._same("two watched steps", await leaving, words[:2])
        vanishing.cancel()
        await asyncio.gather(vanishing, return_exceptions=True)
        await self._end(name)
        self._same("all watched steps", await staying, words)
        self.counts["watchers"] += 3

    async def cut_off(self, name: str) -> None:
        """Calls are cancelled somewhere on their way; the step has been taken or not, and its episode goes on."""
        words = await self._steps(name, 1)
        for _ in range(3):
            frame = self._frame(name, len(words))
            call = asyncio.create_task(self._client.act(frame, name))
            await asyncio.sleep(self._random.uniform(0.0, 0.03))
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            self.counts["cut off on the way"] += call.cancelled()
            act = await self._client.act(frame, name, step=len(words))
            words.append([token.id for token in act.tokens])
        await self._check(name, words)
        await self._end(name)

    async def repeated(self, name: str) -> None:
        """Every step is sent once more."""
        for step in range(self._length()):
            first = await self._client.act(self._frame(name, step), name)
            again = await self._client.act(self._frame(name, step), name, step=step)
            self._same("repeated step", (again.replayed, again.action, again.value), (True, first.action, first.value))
            self.counts["Acts"] += 2
            await self._pause()
        await self._end(name)

    async def batched(self, name: str) -> None:
        """Four that advance together."""
        names = [f"{name}-{number}" for number in range(4)]
        words: dict[str, Words] = {one: [] for one in names}
        for step in range(self._length()):
            answers = await self._client.act_batch({one: self._frame(one, step) for one in names})
            for one, answer in answers.items():
                if isinstance(answer, Exception):
                    raise answer
                words[one].append([token.id for token in answer.tokens])
            self.counts["Acts"] += len(names)
            await self._pause()
        for one in names:
            await self._check(one, words[one])
            await self._end(one)

    async def explained(self, name: str) -> None:
        """Which words decided its last step."""
        words = await self._steps(name, 3)
        explanation = await self._client.explain(name, 2, self._frame(name, 2))
        self._same("explained step", explanation.step, 2)
        await self._check(name, words)
        await self._end(name)

    async def _list(self, end: float) -> None:
        """Somebody looks at all episodes now and then."""
        while time.monotonic() < end:
            await self._live("listed", self._listing())
            await asyncio.sleep(10 * self._think)

    async def _listing(self) -> None:
        async for _ in self._client.list_episodes():
            self.counts["listed episodes"] += 1
        pages: Any = self._client.list_episodes(archived=True)  # a generator, which its type does not say
        async with aclosing(pages):
            await anext(pages, None)

    async def archive_holds(self) -> dict[str, int]:
        """Waits until all ended episodes are archived; compares names, and returns how many are there, missing, too many."""
        await asyncio.sleep(ENDED_TTL + AFTER)
        held = {one.episode_id async for one in self._client.list_episodes(archived=True)}
        return {"held": len(held), "missing": len(self.archived - held), "unexpected": len(held - self.archived)}

    def _name(self) -> str:
        self.counts["names"] += 1
        return f"{self._run}-{self.counts['names']}"

    def _length(self) -> int:
        return self._random.randint(1, LONGEST)

    def _frame(self, name: str, step: int) -> Frame:
        return self._frames[(hash(name) + step) % len(self._frames)]

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.uniform(0.0, 2 * self._think))

    async def _steps(self, name: str, count: int, *, first: int = 0, client: AsyncClient | None = None) -> Words:
        words: Words = []
        for number in range(count):
            act = await (client or self._client).act(self._frame(name, first + number), name)
            words.append([token.id for token in act.tokens])
            self.counts["Acts"] += 1
            self.counts["rebuilt"] += act.memory.rebuilt
            await self._pause()
        return words

    async def _watch(self, client: AsyncClient, name: str, *, steps: int = 10_000) -> Words:
        words: Words = []
        watch: Any = client.watch_memory(name)  # a generator, which its type does not say
        async with aclosing(watch):
            async for step in watch:
                words.append([token.id for token in step.tokens])
                if len(words) == steps:
                    break
        return words

    async def _check(self, name: str, words: Words) -> None:
        remembered = [[token.id for token in step.tokens] async for step in self._client.memory(name)]
        self._same("memory", remembered, words)
        self.counts["compared steps"] += len(words)

    async def _end(self, name: str) -> None:
        await self._client.end_episode(name, total_reward=1.0)
        self.archived.add(name)

    async def _delete(self, name: str) -> None:
        self._same("deleted", await self._client.delete_episode(name), True)
        self.archived.discard(name)
        try:
            await self._client.get_episode(name)
        except EpisodeNotFound:
            return
        raise CheckFailed("a deleted episode is still there")

    def _same(self, what: str, found: Any, expected: Any) -> None:
        if found != expected:
            raise CheckFailed(f"{what}: expected {expected}, got {found}")


def violations(found: dict[str, Any]) -> list[str]:
    """Returns what must not be and is."""
    failed, archive = found["counts"].get("failed", 0), found["archive"]
    wrong: list[str] = [f"{failed} lives failed"] * bool(failed)
    wrong += [f"{name} ended" for name in found["ended_processes"]]
    wrong += [f"{archive[name]} episodes {name} in the archive" for name in ("missing", "unexpected") if archive[name]]
    return [*wrong, *found["growing"]]
