"""`ArchiveIndex`: searches find what reading every archived episode finds, whatever has happened to archive and index."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.archived import Episode, episode

from services.policy.archive.archive import Archive, path_of
from services.policy.archive.index import ArchiveIndex
from services.policy.archive.segments import Segments
from services.protocol.archive import Indexed
from services.protocol.names import tenant_of
from services.protocol.queries import EpisodeFilter, Search, SeenWord

VOCABULARY = ("a ball", "key's", "door", 'a "wall"', "Schlüssel")


def drawn(choose: random.Random, number: int) -> Episode:
    """One of a random length, with random words, agent, reward and tenant."""
    words = [choose.choices(VOCABULARY, k=choose.randrange(4)) for _ in range(choose.randrange(9))]
    created = choose.randrange(60)
    return episode(
        f"{choose.choice(('run', 'try'))}-{number}{choose.choice(('', '@acme', '@other'))}",
        words,
        first=choose.choice((0, 0, 3)),
        agent=choose.choice((("small", "a" * 64), ("large", "b" * 64))),
        created_us=created,
        updated_us=created + choose.randrange(60),
        total_reward=choose.choice((None, 0.0, 0.5, 1.0)),
    )


def asked(choose: random.Random) -> Search:
    """A search of some of the conditions."""

    def word() -> SeenWord:
        first = choose.randrange(5)
        return SeenWord(choose.choice((*VOCABULARY, "unknown")), first, choose.choice((None, first + choose.randrange(6))))

    every: dict[str, Any] = {
        "agent": choose.choice(("small", "b" * 8)),
        "created": (10, 40),
        "updated": (30, 90),
        "reward": choose.choice(((0.5, 1.0), (float("-inf"), 0.0))),
        "prefix": choose.choice(("run", "try-1")),
        "succeeded": choose.choice((False, True)),
        "ended": choose.choice((True, True, False)),
    }
    some = {key: every[key] for key in choose.sample(sorted(every), choose.randrange(3))}
    return Search(
        filter=EpisodeFilter(success_above=choose.choice((0.0, 0.5)), **some),
        saw=[word() for _ in range(choose.randrange(3))],
        not_saw=[word() for _ in range(choose.randrange(2))],
    )


def meant(one: Episode, search: Search, tenant: str | None) -> bool:
    """Whether reading the episode says so."""
    state, first, steps = one
    seen = [(first + i, {word.text for word in step.words}) for i, step in enumerate(steps)]

    def saw(word: SeenWord) -> bool:
        last = 10**9 if word.last is None else word.last
        return any(word.word in words for step, words in seen if word.first <= step <= last)

    return (
        tenant in (None, tenant_of(state.episode_id))
        and search.filter.fits(state)
        and all(map(saw, search.saw))
        and not any(map(saw, search.not_saw))
    )


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[ArchiveIndex]:
    index = ArchiveIndex(Archive(str(tmp_path / "archive")), str(tmp_path / "index"))
    yield index
    await index.close()


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(str(tmp_path / "archive"))


async def found(index: ArchiveIndex, search: Search | None = None, **how: Any) -> list[str]:
    """Names, in order."""
    how = {"newest": True, "tenant": None, **how}
    return [name for _, name in await index.search(search or Search(), None, 1000, **how)]


async def test_a_search_finds_what_reading_every_episode_finds(index: ArchiveIndex, archive: Archive) -> None:
    choose = random.Random(5)
    made = [drawn(choose, number) for number in range(120)]
    for number, one in enumerate(made):
        archive.write(*one)
        if number % 3 == 0:
            index.add(*one)
            index.flush()  # many files, which are merged
    index.refresh()
    hits = 0
    for _ in range(150):
        search, tenant, newest = asked(choose), choose.choice((None, "", "acme")), choose.random() < 0.5
        wanted = sorted(((s.created_us, s.episode_id) for s, *_ in made if meant((s, *_), search, tenant)), reverse=newest)
        pages, place = [], None
        while page := await index.search(search, place, 7, newest=newest, tenant=tenant):
            pages += page
            place = page[-1]
        assert pages == wanted, search
        hits += bool(wanted)
    assert hits > 60  # most searches have something to find


async def test_a_comparison_counts_what_reading_every_episode_counts(index: ArchiveIndex, archive: Archive) -> None:
    choose = random.Random(6)
    made = [drawn(choose, number) for number in range(100)]
    for one in made:
        archive.write(*one)
    index.refresh()
    later = made[:30]  # known apart from the index, and of the first ten by it as well
    for state, *_ in later[10:]:
        archive.remove(state)
    index.refresh()
    others = [Indexed.of(path_of(state), state, first, steps) for state, first, steps in later]
    for _ in range(20):
        search, tenant = asked(choose), choose.choice((None, "acme"))
        chosen = [one for one in made if one[0].total_reward is not None and meant(one, search, tenant)]
        some = [row for row, one in zip(others, later, strict=True) if one in chosen]
        words, transitions = (Counter[Any](), Counter[Any]()), (Counter[Any](), Counter[Any]())
        for state, _, steps in chosen:
            good = int((state.total_reward or 0.0) > search.filter.success_above)
            texts = [{word.text for word in step.words} for step in steps]
            words[good].update({(text,) for seen in texts for text in seen})
            transitions[good].update({(a, b) for x, y in pairwise(texts) for a in x for b in y})
        comparison = await index.compare(search, some, 1000, tenant=tenant)
        good = sum((state.total_reward or 0.0) > search.filter.success_above for state, *_ in chosen)
        assert (comparison.succeeded, comparison.failed) == (good, len(chosen) - good)
        for counted, expected in ((comparison.words, words), (comparison.transitions, transitions)):
            assert {one.words: (one.succeeded, one.failed) for one in counted} == {
                key: (expected[1][key], expected[0][key]) for key in expected[0] | expected[1]
            }


async def test_what_differs_most_comes_first(index: ArchiveIndex) -> None:
    rows = [
        Indexed("p", "n", "a", "d", 1, 2, float(i % 2), 0, [["ball"] if i % 2 else ["key"], ["door"], ["door"]][: 3 - i % 3])
        for i in range(40)
    ]
    comparison = await index.compare(Search(), rows, 2, tenant=None)
    assert [one.words for one in comparison.words] == [("ball",), ("key",)]
    assert [(one.succeeded, one.failed) for one in comparison.words] == [(20, 0), (0, 20)]
    assert {one.words for one in comparison.transitions} == {("ball", "door"), ("key", "door")}


async def test_what_was_deleted_by_whomever_is_in_no_file_of_the_index(
    index: ArchiveIndex, archive: Archive, tmp_path: Path
) -> None:
    for name in ("kept", "here", "elsewhere", "here-too"):
        archive.write(*episode(name, [[f"secret of {name}"]]))
    index.refresh()
    archive.delete("here")
    index.remove("here")
    await asyncio.to_thread(index.flush)
    assert await found(index) == ["kept", "here-too", "elsewhere"]
    archive.delete("elsewhere")  # by another process, or by a rule of a bucket
    index.refresh()
    assert await found(index) == ["kept", "here-too"]
    files = b"".join(file.read_bytes() for file in (tmp_path / "index").glob("*"))
    assert b"secret of kept" in files
    assert b"secret of here\x00" not in files.replace(b"secret of here-too", b"")
    assert b"elsewhere" not in files


async def test_a_file_that_is_no_episode_is_left_out_and_counted_once(
    index: ArchiveIndex, archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive.write(*episode("whole", [["ball"]]))
    archive.write(*(torn := episode("torn", [["ball"]])))
    path = tmp_path / "archive" / path_of(torn[0])
    path.write_bytes(path.read_bytes()[:20])
    for _ in range(2):
        index.refresh()
    assert await found(index) == ["whole"]
    assert len([one for one in caplog.messages if "cannot be searched" in one]) == 1


@pytest.mark.parametrize("damage", ["end", "middle", "empty"])
async def test_a_damaged_file_of_the_index_is_made_again(
    index: ArchiveIndex, archive: Archive, tmp_path: Path, damage: str
) -> None:
    for number in range(300):
        archive.write(*episode(f"e{number}", [[random.Random(number).randbytes(8).hex()], ["ball"]]))
    index.refresh()
    (file,) = (tmp_path / "index").glob("*.parquet")
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes({"end": whole[:middle], "middle": whole[:400] + bytes(2000) + whole[2400:], "empty": b""}[damage])
    search = Search(saw=[SeenWord("ball")])
    try:
        await found(index, search)
    except Exception as error:  # the caller is told to retry
        assert "retry later" in str(error)  # noqa: PT017
    index.refresh()
    assert len(await found(index, search)) == 300


def test_processes_that_share_a_folder_change_it_one_after_the_other(tmp_path: Path) -> None:
    one, other = Segments(tmp_path), Segments(tmp_path)
    with one.alone(), pytest.raises(BlockingIOError), other.alone():
        pass
    one.add([Indexed("p1", "n", "a", "d", 1, 2, None, 0, [["ball"]])])

    def count() -> list[tuple[int]]:
        return other.look(lambda view: view.rows(f"SELECT count(*) FROM {view.table}", ()))

    assert count() == [(1,)]
    one.drop(["p1"], one.paths())
    one.add([Indexed("p2", "n", "a", "d", 1, 2, None, 0, [])])
    assert count() == [(1,)]  # although the file that it knew is gone
    for segments in (one, other):
        segments.close()


async def test_where_there_is_no_archive_there_is_nothing_to_find() -> None:
    index = ArchiveIndex(None)
    index.start()
    assert await found(index) == []
    await index.close()
