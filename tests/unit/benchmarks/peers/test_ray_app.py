"""The adapter for Ray Serve gives the words and actions of the plain engines, called as Ray Serve calls it.

Ray itself is not installed here (`make peers-setup`): its decorator is stood in for by one whose batches have one request.
"""

import importlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.bundles import noise, tiny_bundle
from benchmarks.local_agent import LocalAgent
from benchmarks.peers.messages import answer, request

Handler = Callable[[Any, list[Any]], Awaitable[list[Any]]]


class Batched:
    """A method whose single callers share a run, as `serve.batch` makes it."""

    def __init__(self, handler: Handler) -> None:
        self.handler, self.wait = handler, 0.0

    def __get__(self, owner: Any, kind: Any) -> "Batched":
        self.owner = owner
        return self

    def set_batch_wait_timeout_s(self, wait: float) -> None:
        self.wait = wait

    async def __call__(self, item: Any) -> Any:
        (found,) = await self.handler(self.owner, [item])
        return found


class Request:
    """A request of starlette's."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    async def json(self) -> dict[str, Any]:
        return self.body


async def test_words_and_actions_are_those_of_the_plain_engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ray, serve = (ModuleType(name) for name in ("ray", "ray.serve"))
    stand_in: Any = serve
    stand_in.batch = lambda max_batch_size: Batched
    ray.serve = serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.serve", serve)
    monkeypatch.delitem(sys.modules, "benchmarks.peers.ray_app", raising=False)
    module = importlib.import_module("benchmarks.peers.ray_app")
    bundle = tiny_bundle(tmp_path / "tiny")
    replica, plain = module.AgentReplica(str(bundle.folder), "float32", 0.01), LocalAgent(bundle)
    assert replica.act.wait == 0.01
    for frame in noise(6):
        reply = await replica(Request(request("a", 56, 56, frame.tobytes())))
        assert [reply] == [answer(one) for one in plain.act(["a"], [frame])]
