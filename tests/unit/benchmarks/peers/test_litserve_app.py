"""The adapter for LitServe gives the words and actions of the plain engines, called as LitServe calls it.

LitServe itself is not installed here (`make peers-setup`): its base class is stood in for.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.bundles import noise, tiny_bundle
from benchmarks.local_agent import LocalAgent
from benchmarks.peers.messages import answer, request


class LitAPI:
    """Takes the batching's settings, as LitServe's does."""

    def __init__(self, max_batch_size: int, batch_timeout: float) -> None:
        self.batching = (max_batch_size, batch_timeout)


def test_words_and_actions_are_those_of_the_plain_engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in: Any = ModuleType("litserve")
    stand_in.LitAPI = LitAPI
    monkeypatch.setitem(sys.modules, "litserve", stand_in)
    monkeypatch.delitem(sys.modules, "benchmarks.peers.litserve_app", raising=False)
    module = importlib.import_module("benchmarks.peers.litserve_app")
    bundle = tiny_bundle(tmp_path / "tiny")
    api, plain = module.AgentAPI(str(bundle.folder), "float32", max_batch_size=64, batch_timeout=0.01), LocalAgent(bundle)
    api.setup("cpu")
    for now in zip(noise(6, 0), noise(6, 1), strict=True):
        bodies = [request(name, 56, 56, frame.tobytes()) for name, frame in zip("ab", now, strict=True)]
        batch = api.batch([api.decode_request(body) for body in bodies])
        replies = [api.encode_response(one) for one in api.unbatch(api.predict(batch))]
        assert replies == [answer(one) for one in plain.act(["a", "b"], list(now))]
    assert api.batching == (64, 0.01)
