"""Client for Semantic HELM agents: send a frame, receive an action, read the memory in words.

`Client` is the entry point, `AsyncClient` its counterpart for asyncio. Every failed call raises a `ShelmError` from
`shelm.errors`. `shelm.gym` plays gymnasium environments, `RemotePolicy` is a policy for stable-baselines3's evaluation, and
`shelm.v1` contains the generated protobuf modules.
"""

from __future__ import annotations

from shelm import errors
from shelm.aio import AsyncClient, AsyncEpisode
from shelm.client import Client
from shelm.edits import Alternative, Insert, Remove, Replace, Swap
from shelm.episode import Episode
from shelm.errors import ShelmError
from shelm.policy import RemotePolicy
from shelm.results import (
    Act,
    Agent,
    Branch,
    Continuous,
    Decision,
    Discrete,
    Distribution,
    EpisodeInfo,
    Explanation,
    Influence,
    Memory,
    MemoryStep,
    Outcome,
    Timing,
    Token,
    WhatIf,
)
from shelm.version import __version__

__all__ = [
    "Act",
    "Agent",
    "Alternative",
    "AsyncClient",
    "AsyncEpisode",
    "Branch",
    "Client",
    "Continuous",
    "Decision",
    "Discrete",
    "Distribution",
    "Episode",
    "EpisodeInfo",
    "Explanation",
    "Influence",
    "Insert",
    "Memory",
    "MemoryStep",
    "Outcome",
    "RemotePolicy",
    "Remove",
    "Replace",
    "ShelmError",
    "Swap",
    "Timing",
    "Token",
    "WhatIf",
    "__version__",
    "errors",
]
