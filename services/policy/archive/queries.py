"""What is asked of the index of the archive, in SQL. Values are always parameters.

Contract: as `Search` says, which is the same for episodes that are read one by one. Blocking: for threads.
Failure policy: as `services.policy.archive.segments`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from services.policy.archive.segments import Segments, View
from services.protocol.archive import BETWEEN, Indexed
from services.protocol.queries import Comparison, Counted, Place, Search, SeenWord


class Where:
    """Conditions, all of which hold, and the values of their ?s."""

    def __init__(self) -> None:
        self._conditions, self.values = ["true"], list[Any]()

    def add(self, condition: str, *values: Any) -> None:
        """One more."""
        self._conditions.append(condition)
        self.values += values

    def __str__(self) -> str:
        return " AND ".join(f"({one})" for one in self._conditions)


def meant(search: Search, tenant: str | None) -> Where:
    """The condition of a search. tenant: whose; empty: those without tenant; None: all."""
    where, wanted = Where(), search.filter
    if tenant is not None:
        where.add("tenant = ?", tenant)
    if wanted.agent:
        where.add("agent = ? OR starts_with(digest, ?)", wanted.agent, wanted.agent)
    if wanted.ended is False:
        where.add("false")
    for column, times in (("created", wanted.created), ("updated", wanted.updated)):
        if times:
            where.add(f"{column} >= ? AND {column} < ?", *times)
    if wanted.reward:
        where.add("reward >= ? AND reward <= ?", *wanted.reward)
    if wanted.succeeded is not None:
        where.add(f"reward {'>' if wanted.succeeded else '<='} ?", wanted.success_above)
    if wanted.prefix:
        where.add("starts_with(episode, ?)", wanted.prefix)
    for one in search.saw:
        where.add(*_seen(one))
    for one in search.not_saw:
        condition, *values = _seen(one)
        where.add(f"NOT ({condition})", *values)
    return where


def _seen(one: SeenWord) -> tuple[Any, ...]:
    """Whether the steps that count saw a word; first, whether any did, which is known of each episode."""
    if not one.first and one.last is None:
        return "list_contains(seen, ?)", one.word
    last = 2**53 if one.last is None else one.last
    counting = "words[greatest(?::BIGINT - first, 0) + 1 : greatest(?::BIGINT - first + 1, 0)]"
    return f"list_contains(seen, ?) AND list_contains(flatten({counting}), ?)", one.word, one.first, last, one.word


def known(segments: Segments, paths: Mapping[str, str]) -> set[str]:
    """What paths stand for, of those that the index has."""
    condition = "WHERE path IN (SELECT unnest(?))"
    rows = segments.look(lambda view: view.rows(f"SELECT path FROM {view.table} {condition}", [list(paths)]))
    return {paths[path] for (path,) in rows}


def search(
    segments: Segments, search: Search, place: Place | None, size: int, *, newest: bool, tenant: str | None
) -> list[Place]:
    """At most `size` episodes that are meant, in order, after a place."""
    where = meant(search, tenant)
    if place:
        where.add(f"(created, name) {'<' if newest else '>'} (?, ?)", *place)
    order = "DESC" if newest else "ASC"
    rest = f"WHERE {where} ORDER BY created {order}, name {order} LIMIT {size}"
    rows = segments.look(lambda view: view.rows(f"SELECT created, name FROM {view.table} {rest}", where.values))
    return [(created, name) for created, name in rows]


def compare(segments: Segments, search: Search, others: Sequence[Indexed], limit: int, *, tenant: str | None) -> Comparison:
    """Compares the episodes that are meant, and some others, which count instead of those of the same path."""
    where = meant(search, tenant)
    where.add("reward IS NOT NULL")
    where.add("path NOT IN (SELECT unnest(?::VARCHAR[]))", [one.path for one in others])
    beside = [[one.reward for one in others], [one.seen() for one in others], [one.pairs() for one in others]]
    values = [search.filter.success_above, *where.values, *beside]

    def work(view: View) -> Comparison:
        chosen = f"""WITH chosen AS (SELECT reward > ? AS good, seen, pairs FROM (
            SELECT reward, seen, pairs FROM {view.table} WHERE {where} UNION ALL
            SELECT unnest(?::DOUBLE[]) AS reward, unnest(?::VARCHAR[][]) AS seen, unnest(?::VARCHAR[][]) AS pairs))"""
        total = "SELECT count(*) FILTER (good), count(*) FILTER (NOT good) FROM chosen"
        ((good, bad),) = view.rows(f"{chosen} {total}", values)

        def counted(column: str) -> list[Counted]:
            sql = f"""SELECT one, g, b FROM (
                    SELECT one, count(*) FILTER (good) AS g, count(*) FILTER (NOT good) AS b
                    FROM (SELECT good, unnest({column}) AS one FROM chosen) GROUP BY one)
                ORDER BY {_score(good, bad)} DESC, g + b DESC, one LIMIT {limit}"""
            return [Counted(tuple(one.split(BETWEEN)), g, b) for one, g, b in view.rows(f"{chosen} {sql}", values)]

        return Comparison(good, bad, counted("seen"), counted("pairs"), partial=False)

    return segments.look(work)


def _score(good: int, bad: int) -> str:
    """The score test's statistic of two shares, squared, but for a common factor; a count where all episodes went alike."""
    if not good or not bad:
        return "g + b"
    together = f"((g + b) / {good + bad}.0)"
    return f"coalesce(pow(g / {good}.0 - b / {bad}.0, 2) / nullif({together} * (1 - {together}), 0), 0.0)"
