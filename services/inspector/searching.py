"""Lists, searches and comparisons for the page: JSON bodies -> requests, and the replies -> JSON.

A body is ListEpisodesRequest, SearchEpisodesRequest or CompareOutcomesRequest in protobuf's JSON form.
"""

from typing import Any

from shelm.v1 import agent_pb2
from starlette.requests import Request

from services.inspector.asked import read_fields
from services.inspector.convert import Json, episode_json

_FILTER = '"filter": {"agent": "minigrid-memory", "state": "EPISODE_STATE_ENDED"}'


async def read_list(request: Request) -> agent_pb2.ListEpisodesRequest:
    """Which page of which episodes."""
    return await read_fields(request, agent_pb2.ListEpisodesRequest(), (), f'{{{_FILTER}, "page_size": 50}}')


async def read_search(request: Request) -> agent_pb2.SearchEpisodesRequest:
    """Which page of the episodes that saw which words."""
    return await read_fields(request, agent_pb2.SearchEpisodesRequest(), (), f'{{{_FILTER}, "saw": [{{"word": "ball"}}]}}')


async def read_compare(request: Request) -> agent_pb2.CompareOutcomesRequest:
    """Which episodes to compare."""
    return await read_fields(request, agent_pb2.CompareOutcomesRequest(), (), f'{{{_FILTER}, "limit": 20}}')


def list_json(reply: agent_pb2.ListEpisodesResponse) -> Json:
    """Converts a page of episodes."""
    return {"episodes": [episode_json(one) for one in reply.episodes], **_page(reply)}


def search_json(reply: agent_pb2.SearchEpisodesResponse) -> Json:
    """Converts a page of episodes that were found."""
    found = [{"episode": episode_json(one.episode), "seen_steps": list(one.seen_steps)} for one in reply.episodes]
    return {"episodes": found, **_page(reply)}


def compare_json(reply: agent_pb2.CompareOutcomesResponse) -> Json:
    """Converts a comparison."""
    return {
        "succeeded": reply.succeeded,
        "failed": reply.failed,
        "words": [{"word": one.word, **_shares(one)} for one in reply.words],
        "transitions": [{"word": one.word, "next_word": one.next_word, **_shares(one)} for one in reply.transitions],
        "partial": reply.partial,
    }


def _page(reply: Any) -> Json:
    return {"next": reply.next_page_token, "damaged": [one.episode_id for one in reply.damaged]}


def _shares(one: Any) -> Json:
    return {"of_succeeded": _share(one.of_succeeded), "of_failed": _share(one.of_failed)}


def _share(share: agent_pb2.Share) -> Json:
    return {"count": share.count, "total": share.total, "low": share.low, "high": share.high}
