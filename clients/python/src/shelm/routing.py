"""The episode of a call as metadata, so that a proxy can send all calls of an episode to the same server.

Contract: `shelm-episode` is what its tenant calls the episode, without @TENANT, so that an admin's calls go where the
tenant's go. A call about no episode or about several has no such header; a name that no server takes neither, so that the
server can say so in its own words.
"""

from __future__ import annotations

import re

from google.protobuf.message import Message

from shelm.v1 import agent_pb2

HEADER = "shelm-episode"
NAME = re.compile(r"([A-Za-z0-9._:-]{1,128})(?:@.*)?")


def episode_metadata(request: Message | bytes) -> tuple[tuple[str, str], ...]:
    """Returns the metadata that names the episode of a request; empty if there is not exactly one."""
    names = {one.episode_id for one in request.requests} if isinstance(request, agent_pb2.ActBatchRequest) else set()
    name = names.pop() if len(names) == 1 else str(getattr(request, "episode_id", ""))
    found = NAME.fullmatch(name)
    return ((HEADER, found[1]),) if found else ()
