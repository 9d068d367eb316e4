"""Surface: names in requests: ids of episodes, agents and incarnations, page tokens. `check` as for the surface rpc.

They are sent as bytes, since a client may send what is no text.
"""

import json
from collections.abc import Iterator

import numpy as np
from fuzz_messages import TEXTS, damage, pick, text
from fuzz_rpc import AGENT, MEMORY, RETRIEVAL, Session
from support.malformed import varint

__all__ = ["Session", "inputs"]

# Method -> numbers of its fields that are names.
FIELDS: dict[str, tuple[str, tuple[int, ...]]] = {
    AGENT + "Act": ("policy", (1, 4)),
    AGENT + "CreateEpisode": ("policy", (1, 2)),
    AGENT + "BranchEpisode": ("policy", (1, 2)),
    AGENT + "EndEpisode": ("policy", (1,)),
    AGENT + "DeleteEpisode": ("policy", (1,)),
    AGENT + "GetEpisode": ("policy", (1,)),
    AGENT + "ListEpisodes": ("policy", (2,)),
    AGENT + "SearchEpisodes": ("policy", (5,)),
    AGENT + "GetMemory": ("policy", (1, 4)),
    AGENT + "WatchMemory": ("policy", (1, 3)),
    AGENT + "ExplainStep": ("policy", (1,)),
    AGENT + "WhatIf": ("policy", (1,)),
    AGENT + "GetFrame": ("policy", (1,)),
    AGENT + "GetAgent": ("policy", (1,)),
    RETRIEVAL + "GetVocabulary": ("retrieval", (1, 3)),
    MEMORY + "Forget": ("memory", (1,)),
    MEMORY + "EncodeHistories": ("memory", (1,)),
}
ARCHIVED = b"\x18\x01"  # ListEpisodesRequest.archived
GOOD = (
    "fuzz",
    "17:fuzz",
    "-/17:fuzz",
    "fuzz:ended",
    "fuzz@acme",
    "minigrid-memory",
    "0",
    "17",
    "1732675387000:fuzz",
    "MTcz:Zg==",
)


def inputs(seed: int, n: int) -> Iterator[bytes]:
    """Yields n calls, as the surface rpc does."""
    choose = np.random.default_rng(seed)
    for _ in range(n):
        method = pick(choose, sorted(FIELDS))
        service, fields = FIELDS[method]
        message = b"".join(_field(one, _name(choose)) for one in fields)
        if method.endswith("ListEpisodes") and choose.integers(2):
            message += ARCHIVED
        token = "inner" if service != "policy" else pick(choose, ("act", "own", "admin", "read"))
        head = {"service": service, "method": method, "token": token, "lengths": [len(message)]}
        yield json.dumps(head).encode() + b"\n" + message


def _name(choose: np.random.Generator) -> bytes:
    kind = choose.integers(4)
    if kind == 0:
        return text(choose).encode()
    if kind == 1:
        return damage(choose, str(pick(choose, GOOD)).encode())
    if kind == 2:
        return str(pick(choose, GOOD)).encode() + str(pick(choose, TEXTS))[:300].encode()
    return bytes(choose.bytes(int(choose.integers(1, 140))))


def _field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value
