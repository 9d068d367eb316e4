"""Filters and searches: messages of the public contract <-> typed values.

Failure policy: INVALID_ARGUMENT with the path of the field, what was expected and what came.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite, isnan
from typing import Any

from shelm.shares import wilson
from shelm.v1 import agent_pb2

from services.protocol.agent_api import episode_message
from services.protocol.fields import check_at_most, check_step
from services.protocol.names import FULL_NAME
from services.protocol.queries import Comparison, Counted, EpisodeFilter, Found, Place, Search, SeenWord
from services.runtime.errors import invalid

MOST_WORDS = 16
FOUND, COMPARED = 50, 20  # where the caller names no number
TEXT = 200  # characters
LATEST = 2**62  # microseconds
DONE = "-"  # in a token: nothing is left there
ORDERED = re.compile(r"(\d{1,17}):(.+)")
_States = {agent_pb2.EPISODE_STATE_RUNNING: False, agent_pb2.EPISODE_STATE_ENDED: True}
_Outcomes = {agent_pb2.EPISODE_OUTCOME_SUCCEEDED: True, agent_pb2.EPISODE_OUTCOME_FAILED: False}


def parse_search(request: agent_pb2.SearchEpisodesRequest | agent_pb2.CompareOutcomesRequest) -> Search:
    """What a search or a comparison asks for."""
    return Search(
        filter=parse_filter(request.filter),
        saw=_words(request.saw, "saw"),
        not_saw=_words(request.not_saw, "not_saw"),
    )


def parse_filter(message: agent_pb2.EpisodeFilter) -> EpisodeFilter:
    """Which episodes are asked for."""
    for field in ("agent", "name_prefix"):
        if len(given := getattr(message, field)) > TEXT:
            raise invalid(f"filter.{field}", f"expected at most {TEXT} characters, got {len(given)}")
    above = message.success_above
    if not isfinite(above):
        raise invalid("filter.success_above", f"expected a finite number, got {above}")
    return EpisodeFilter(
        agent=message.agent,
        ended=_named(message.state, _States, agent_pb2.EpisodeState, "filter.state"),
        created=_times(message.created, "filter.created") if message.HasField("created") else None,
        updated=_times(message.updated, "filter.updated") if message.HasField("updated") else None,
        reward=_rewards(message.reward) if message.HasField("reward") else None,
        prefix=message.name_prefix,
        succeeded=_named(message.outcome, _Outcomes, agent_pb2.EpisodeOutcome, "filter.outcome"),
        success_above=above,
    )


def parse_order(order: int) -> bool | None:
    """Whether the newest come first; None where no order is asked for."""
    known = {agent_pb2.EPISODE_ORDER_NEWEST: True, agent_pb2.EPISODE_ORDER_OLDEST: False}
    return _named(order, known, agent_pb2.EpisodeOrder, "order")


def _named(value: int, known: dict[Any, bool], enum: Any, field: str) -> bool | None:
    if value and value not in known:
        raise invalid(field, f"expected one of {', '.join(enum.keys())}, got {value}")
    return known.get(value)


def _times(message: agent_pb2.TimeRange, field: str) -> tuple[int, int]:
    found = []
    for name, unset in (("since", 0), ("until", LATEST)):
        try:
            found.append(getattr(message, name).ToMicroseconds() if message.HasField(name) else unset)
        except ValueError as error:  # beyond the years 1..9999
            raise invalid(f"{field}.{name}", f"expected a time, got {error}") from None
    return found[0], found[1]


def _rewards(message: agent_pb2.RewardRange) -> tuple[float, float]:
    least = message.least if message.HasField("least") else -inf
    most = message.most if message.HasField("most") else inf
    for name, value in (("least", least), ("most", most)):
        if isnan(value):
            raise invalid(f"filter.reward.{name}", "expected a number, got nan")
    return least, most


def _words(messages: Iterable[agent_pb2.SeenWord], field: str) -> list[SeenWord]:
    given = list(messages)
    check_at_most(len(given), MOST_WORDS, field)
    return [_word(one, f"{field}[{i}]") for i, one in enumerate(given)]


def _word(message: agent_pb2.SeenWord, field: str) -> SeenWord:
    if not 0 < len(message.word) <= TEXT:
        raise invalid(f"{field}.word", f"expected 1..{TEXT} characters, got {len(message.word)}")
    first = check_step(message.first_step, f"{field}.first_step")
    last = check_step(message.last_step, f"{field}.last_step") if message.HasField("last_step") else None
    if last is not None and last < first:
        raise invalid(f"{field}.last_step", f"expected {first} or more, because of first_step, got {last}")
    return SeenWord(message.word, first, last)


def check_place(token: str) -> Place | None:
    """A place in an order that an earlier page gave; None for an empty token."""
    if not token:
        return None
    found = ORDERED.fullmatch(token)
    if not found or not FULL_NAME.fullmatch(found[2]):
        raise invalid("page_token", f"expected next_page_token of an earlier page of this order, got {token[:40]!r}")
    return int(found[1]), found[2]


def place_token(place: Place | None) -> str:
    """The reverse."""
    return f"{place[0]}:{place[1]}" if place else ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a search has come in one of two orders. place: of the last episode; None at the beginning."""

    place: Place | None = None
    done: bool = False

    def passed(self, place: Place) -> bool:
        """Whether the search, which goes from the newest on, has been at a place."""
        return self.done or (self.place is not None and place >= self.place)


def read_token(token: str) -> tuple[Cursor, Cursor]:
    """How far a search has come among the episodes that are not archived, and among those that are; empty: it begins."""
    if not token:
        return Cursor(), Cursor()
    live, slash, archived = token.partition("/")
    if not slash:
        raise invalid("page_token", f"expected next_page_token of an earlier page of this search, got {token[:40]!r}")
    return _cursor(live), _cursor(archived)


def _cursor(part: str) -> Cursor:
    return Cursor(done=True) if part == DONE else Cursor(check_place(part))


def write_token(live: Cursor, archived: Cursor) -> str:
    """The reverse; empty where nothing is left."""
    if live.done and archived.done:
        return ""
    return "/".join(DONE if one.done else place_token(one.place) for one in (live, archived))


def found_message(found: Found) -> agent_pb2.FoundEpisode:
    """The message of an episode that was found."""
    return agent_pb2.FoundEpisode(episode=episode_message(found.state), seen_steps=found.seen_steps)


def comparison_message(found: Comparison) -> agent_pb2.CompareOutcomesResponse:
    """The reply to a CompareOutcomes."""
    words, transitions = agent_pb2.WordOutcome, agent_pb2.TransitionOutcome
    return agent_pb2.CompareOutcomesResponse(
        succeeded=found.succeeded,
        failed=found.failed,
        words=[words(word=one.words[0], **_shares(found, one)) for one in found.words],
        transitions=[
            transitions(word=one.words[0], next_word=one.words[1], **_shares(found, one)) for one in found.transitions
        ],
        partial=found.partial,
    )


def _shares(of: Comparison, one: Counted) -> dict[str, agent_pb2.Share]:
    return {"of_succeeded": _share(one.succeeded, of.succeeded), "of_failed": _share(one.failed, of.failed)}


def _share(count: int, total: int) -> agent_pb2.Share:
    low, high = wilson(count / total, total) if total else (0.0, 1.0)
    return agent_pb2.Share(count=count, total=total, low=low, high=high)
