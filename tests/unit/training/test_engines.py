"""Engines of training: words by mark, and the device that a run asks for."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from training import engines, ppo

S11 = "MiniGrid-MemoryS11-v0"


def frames(*shades: int) -> np.ndarray:
    return np.stack([np.full((8, 8, 3), shade, np.uint8) for shade in shades])


def test_words_of_a_frame_are_computed_once_in_order_of_appearance() -> None:
    asked: list[list[int]] = []

    def words(given: np.ndarray) -> list[tuple[int, ...]]:
        asked.append([int(frame[0, 0, 0]) for frame in given])
        return [(int(frame[0, 0, 0]),) for frame in given]

    once = engines.once(words, limit=5)
    assert once(frames(7, 3, 7)) == [(7,), (3,), (7,)]
    assert once(frames(3, 9)) == [(3,), (9,)]
    assert asked == [[7, 3], [9]]
    assert once(frames(1, 2, 3)) == [(1,), (2,), (3,)]  # more than fit: all are computed again
    assert asked[2] == [1, 2, 3]


def test_the_device_and_number_format_of_a_run_reach_its_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, tuple[str, str]] = {}

    def retriever(*_: Any, device: str, dtype: str, **__: Any) -> Any:
        seen["retriever"] = device, dtype
        return SimpleNamespace()

    def slots(*_: Any, device: str, dtype: str, **__: Any) -> Any:
        seen["slots"] = device, dtype
        return SimpleNamespace(dimension=4, forget=lambda _: None)

    monkeypatch.setattr(engines, "make_retriever", retriever)
    monkeypatch.setattr(engines, "make_slots", slots)
    run = ppo.parse_arguments(["--out", "unused", "--env", S11, "--device", "cuda:1", "--dtype", "auto"])
    ppo.make_environment(run)
    assert seen == {"retriever": ("cuda:1", "auto"), "slots": ("cuda:1", "auto")}


@pytest.mark.parametrize("method", ["helm", "helmv2"])
def test_the_device_of_a_run_reaches_the_language_model_of_other_methods(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    seen: list[str] = []

    class StopError(Exception):
        pass

    def model(*_: Any, device: str, **__: Any) -> Any:
        seen.append(device)
        raise StopError

    monkeypatch.setattr(engines, "load_language_model", model)
    run = ppo.parse_arguments(["--out", "unused", "--env", S11, "--device", "cuda:1", "--method", method])
    with pytest.raises(StopError):
        engines.load_memory(run, num_envs=2, pixels=9, device=run["device"])
    assert seen == ["cuda:1"]
