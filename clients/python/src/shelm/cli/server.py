"""`shelm agents` and `shelm ping`: the served agents, and the response time of the server.

A JSON line of agents has name, digest, default, observation_shape, action_space, vocabulary_size, window, tokens_per_step,
environments, description. The object of ping has target, serving, connect_ms, round_trip_ms and, with --act, act: seen_ms,
total_ms, decode_ms, retrieval_ms, memory_ms, policy_ms, commit_ms (stages overlap).
"""

from __future__ import annotations

import argparse
import statistics
import time
import uuid
from typing import Any

import numpy as np

from shelm.cli.stages import milliseconds, stage_text
from shelm.cli.terminal import line_of_json
from shelm.client import Client
from shelm.results import Agent
from shelm.texts import space_json, space_text

ROUND_TRIPS = 5


def agents(client: Client, arguments: argparse.Namespace) -> None:
    """Prints the agents, one per line, with a star before the default."""
    for agent in client.agents():
        if arguments.json:
            line_of_json(_fields(agent))
            continue
        mark = "*" if agent.default else " "
        shape = "x".join(map(str, agent.observation_shape))
        space = space_text(agent.action_space)
        size = f"{agent.vocabulary_size} words, window {agent.window}" if agent.keeps_words else "keeps no words"
        print(f"{mark} {agent.name}  {agent.digest[:12]}  {shape}  {space}  {size}  {agent.description}")


def ping(client: Client, arguments: argparse.Namespace) -> None:
    """Prints whether the server is ready and the duration of a health check; with --act also the duration of each stage of
    an Act.
    """
    round_trip = statistics.median(client.ping() for _ in range(ROUND_TRIPS))
    act = _act(client) if arguments.act else None
    connect_ms, round_trip_ms = round(arguments.seconds * 1000, 3), round(round_trip * 1000, 3)
    if arguments.json:
        fields = {"target": arguments.target, "serving": True, "connect_ms": connect_ms, "round_trip_ms": round_trip_ms}
        line_of_json(fields | ({"act": act} if act else {}))
        return
    print(f"{arguments.target} serves (connecting {connect_ms:.1f} ms, round trip {round_trip_ms:.1f} ms)")
    for name, value in (act or {}).items():
        print(f"{stage_text(name):<40}  {value:8.1f} ms")


def _act(client: Client) -> dict[str, float]:
    """Acts once in an episode with a new random id, and ends it."""
    frame = np.zeros(client.agent().observation_shape, np.uint8)
    with client.episode(f"ping-{uuid.uuid4().hex}") as episode:
        began = time.monotonic()
        act = episode.act(frame)
        seen = time.monotonic() - began
    return {"seen_ms": round(seen * 1000, 3)} | (milliseconds(act.timing) if act.timing else {})


def _fields(agent: Agent) -> dict[str, Any]:
    return {
        "name": agent.name,
        "digest": agent.digest,
        "default": agent.default,
        "observation_shape": list(agent.observation_shape),
        "action_space": space_json(agent.action_space),
        "vocabulary_size": agent.vocabulary_size,
        "window": agent.window,
        "tokens_per_step": agent.tokens_per_step,
        "environments": list(agent.environments),
        "description": agent.description,
    }
