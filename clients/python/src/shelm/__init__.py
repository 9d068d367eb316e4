"""Client for Semantic HELM agents: send a frame, receive an action, read the memory in words.

`Client` is the door; every failure of a call is a `ShelmError` from `shelm.errors`. `shelm.gym` plays gymnasium
environments; `shelm.v1` holds the generated protocol.
"""

from shelm import errors
from shelm.client import Client
from shelm.episode import Episode
from shelm.errors import ShelmError
from shelm.results import Act, Agent, Continuous, Discrete, EpisodeInfo, Memory, MemoryStep, Timing, Token

__all__ = [
    "Act",
    "Agent",
    "Client",
    "Continuous",
    "Discrete",
    "Episode",
    "EpisodeInfo",
    "Memory",
    "MemoryStep",
    "ShelmError",
    "Timing",
    "Token",
    "errors",
]
