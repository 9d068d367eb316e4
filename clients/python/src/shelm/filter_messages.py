"""Filters and words of `shelm.filters` as protobuf messages. An invalid value raises InvalidArgument."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from google.protobuf.timestamp_pb2 import Timestamp

from shelm.boundary import invalid
from shelm.filters import AnySeen, EpisodeFilter, Seen
from shelm.requests import natural, text
from shelm.v1 import agent_pb2

_ORDERS = {
    None: agent_pb2.EPISODE_ORDER_UNSPECIFIED,
    "newest": agent_pb2.EPISODE_ORDER_NEWEST,
    "oldest": agent_pb2.EPISODE_ORDER_OLDEST,
}
_STATES = {True: agent_pb2.EPISODE_STATE_ENDED, False: agent_pb2.EPISODE_STATE_RUNNING}
_OUTCOMES = {True: agent_pb2.EPISODE_OUTCOME_SUCCEEDED, False: agent_pb2.EPISODE_OUTCOME_FAILED}


def list_request(
    page_size: int, archived: bool, wanted: EpisodeFilter | None, order: str | None
) -> agent_pb2.ListEpisodesRequest:
    """Returns the request for the first page of a listing."""
    if order not in _ORDERS:
        raise invalid("order", f"expected 'newest', 'oldest' or None, given {order!r}")
    message = None if wanted is None else filter_message(wanted)
    return agent_pb2.ListEpisodesRequest(page_size=page_size, archived=archived, filter=message, order=_ORDERS[order])


def filter_message(wanted: EpisodeFilter) -> agent_pb2.EpisodeFilter:
    """Returns a filter as a message."""
    message = agent_pb2.EpisodeFilter(agent=text("agent", wanted.agent), name_prefix=text("name_prefix", wanted.name_prefix))
    message.success_above = wanted.success_above
    if wanted.ended is not None:
        message.state = _STATES[bool(wanted.ended)]
    if wanted.succeeded is not None:
        message.outcome = _OUTCOMES[bool(wanted.succeeded)]
    if wanted.created_since or wanted.created_until:
        message.created.CopyFrom(_times(wanted.created_since, wanted.created_until))
    if wanted.updated_since or wanted.updated_until:
        message.updated.CopyFrom(_times(wanted.updated_since, wanted.updated_until))
    if wanted.reward_least is not None or wanted.reward_most is not None:
        message.reward.CopyFrom(agent_pb2.RewardRange(least=wanted.reward_least, most=wanted.reward_most))
    return message


def seen_messages(field: str, words: Sequence[AnySeen]) -> list[agent_pb2.SeenWord]:
    """Returns words as messages."""
    if isinstance(words, (str, Seen)):
        raise invalid(field, f"expected a list of words, given {words!r}")
    return [_seen(field, Seen(one) if isinstance(one, str) else one) for one in words]


def _seen(field: str, one: Seen) -> agent_pb2.SeenWord:
    if not isinstance(one, Seen):
        raise invalid(field, f"expected words, as str or shelm.Seen, given {one!r}")
    last = None if one.last_step is None else natural(f"{field}.last_step", one.last_step)
    first = natural(f"{field}.first_step", one.first_step)
    return agent_pb2.SeenWord(word=text(f"{field}.word", one.word), first_step=first, last_step=last)


def _times(since: datetime | None, until: datetime | None) -> agent_pb2.TimeRange:
    return agent_pb2.TimeRange(since=_timestamp(since), until=_timestamp(until))


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time.astimezone(timezone.utc) if time.tzinfo else time)
    return stamp
