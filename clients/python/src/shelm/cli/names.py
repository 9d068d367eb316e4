"""Names of episodes and agents as people type them: whole, by a unique beginning, or `@last`.

Contract: what the server knows by the whole name is taken as it is. The beginning of an episode's name may lack `episode-`;
agents have names and digests. `@last` is the episode that was used last, or its agent. Archived episodes count where no
other fits. Failure policy: `CommandError` lists what a beginning may mean; what begins no name is left for the server to
refuse.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime, timezone

from shelm.cli.errors import CommandError
from shelm.client import Client
from shelm.errors import EpisodeNotFound, ShelmError
from shelm.results import EpisodeInfo

LAST = "@last"
GENERATED = "episode-"  # how names begin that the client has made
SHOWN = 5  # of several names that fit
OLDEST = datetime.min.replace(tzinfo=timezone.utc)


def episode_named(client: Client, text: str) -> str:
    """Returns the id of the episode that `text` means."""
    if text == LAST:
        return last_episode(client).episode_id
    try:
        return client.get_episode(text).episode_id
    except EpisodeNotFound:
        found = _beginning(client, text, archived=False) or _beginning(client, text, archived=True)
        return _only(text, found, "episode") if found else text


def agent_named(client: Client, text: str) -> str:
    """Returns the name or digest of the agent that `text` means; "" is the server's default."""
    if text == LAST:
        return last_episode(client).agent_digest
    agents = client.agents() if text else []
    if not agents or any(text in (agent.name, agent.digest) for agent in agents):
        return text
    found = {agent.name for agent in agents if agent.name.startswith(text) or agent.digest.startswith(text)}
    return _only(text, found, "agent") if found else text


def last_used(episodes: Iterable[EpisodeInfo], count: int) -> list[EpisodeInfo]:
    """Returns the most recently used episodes, the last one first. The server lists them in no order, so all are read."""
    return heapq.nlargest(count, episodes, key=lambda episode: episode.update_time or OLDEST)


def last_episode(client: Client) -> EpisodeInfo:
    """Returns the episode that was used last."""
    found = last_used(client.list_episodes(), 1) or last_used(_archived(client), 1)
    if not found:
        raise CommandError("@last: there is no episode yet; `shelm play --episodes 1` plays one")
    return found[0]


def _beginning(client: Client, text: str, *, archived: bool) -> set[str]:
    names = (episode.episode_id for episode in (_archived(client) if archived else client.list_episodes()))
    return {name for name in names if name.startswith((text, GENERATED + text))}


def _archived(client: Client) -> list[EpisodeInfo]:
    try:
        return list(client.list_episodes(archived=True))
    except ShelmError:  # the server has no archive
        return []


def _only(text: str, found: set[str], kind: str) -> str:
    if len(found) > 1:
        shown = ", ".join(sorted(found)[:SHOWN]) + (" ..." if len(found) > SHOWN else "")
        raise CommandError(f"{text}: begins the names of {len(found)} {kind}s ({shown}); give more of it")
    return found.pop()
