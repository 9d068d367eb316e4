"""The stages of an Act as reported by the server, in milliseconds and as text."""

from __future__ import annotations

from dataclasses import asdict

from shelm.results import Timing

TEXTS = {
    "seen": "Act as the client sees it",
    "total": "  in the server (stages overlap)",
    "decode": "    reading the frame",
    "retrieval": "    retrieval: frame -> words",
    "memory": "    memory: words -> memory vector",
    "policy": "    policy: actor-critic",
    "commit": "    commit in Redis",
}


def milliseconds(timing: Timing) -> dict[str, float]:
    """Returns total_ms, decode_ms, retrieval_ms, memory_ms, policy_ms, commit_ms."""
    return {name.removesuffix("_us") + "_ms": value / 1000 for name, value in asdict(timing).items()}


def stage_text(key: str) -> str:
    """Returns the displayed name of a key such as `memory_ms`."""
    return TEXTS[key.removesuffix("_ms")]
