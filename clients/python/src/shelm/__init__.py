"""Client for Semantic HELM agents: send a frame, receive an action, read the memory in words.

`Client` is the entry point, `AsyncClient` its counterpart for asyncio. Every failed call raises a `ShelmError` from
`shelm.errors`. `shelm.gym` plays gymnasium environments, `RemotePolicy` is a policy for stable-baselines3's evaluation,
`show` displays an episode in a notebook, and `shelm.v1` contains the generated protobuf modules.
"""

from __future__ import annotations

from shelm import errors
from shelm.aio import AsyncClient, AsyncEpisode
from shelm.client import Client
from shelm.edits import Alternative, Insert, Remove, Replace, Swap
from shelm.episode import Episode
from shelm.errors import ShelmError
from shelm.filters import EpisodeFilter, Seen
from shelm.notebook import show
from shelm.policy import RemotePolicy
from shelm.results import (
    Act,
    Agent,
    Branch,
    Comparison,
    Continuous,
    Decision,
    Discrete,
    Distribution,
    EpisodeInfo,
    Explanation,
    FoundEpisode,
    Influence,
    Memory,
    MemoryStep,
    Outcome,
    Share,
    Timing,
    Token,
    TransitionOutcome,
    WhatIf,
    WordOutcome,
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
    "Comparison",
    "Continuous",
    "Decision",
    "Discrete",
    "Distribution",
    "Episode",
    "EpisodeFilter",
    "EpisodeInfo",
    "Explanation",
    "FoundEpisode",
    "Influence",
    "Insert",
    "Memory",
    "MemoryStep",
    "Outcome",
    "RemotePolicy",
    "Remove",
    "Replace",
    "Seen",
    "Share",
    "ShelmError",
    "Swap",
    "Timing",
    "Token",
    "TransitionOutcome",
    "WhatIf",
    "WordOutcome",
    "__version__",
    "errors",
    "show",
]
