"""Pairs of different states with the same words."""

import json
from pathlib import Path

import pytest

from agent.bundle import load_bundle
from training.clip.conflation import conflated, main
from training.report.conflation import pairs

MODELS = Path(__file__).parents[4] / "models"


def test_pairs_of_different_states_are_counted_once_and_those_with_the_same_words_apart() -> None:
    assert conflated(["a", "a", "b", "c"], ["key", "key", "key", "ball"]) == (5, 2)
    assert conflated(["a", "a"], ["key", "ball"]) == (0, 0)


@pytest.mark.slow
def test_more_words_never_conflate_more_and_colours_are_told_apart_by_a_clip_that_names_them(tmp_path: Path) -> None:
    shares = {}
    for name in ("minigrid-keycorridor", "minigrid-redbluedoors"):
        out = tmp_path / f"{name}.json"
        common = ["--env", "MiniGrid-RedBlueDoors-6x6-v0", "--steps", "300", "--out", str(out)]
        main(["--bundle", str(MODELS / name), *common])
        rows = json.loads(out.read_text())["rows"]
        same = [row["objects_same"] for row in rows]
        assert same == sorted(same, reverse=True)
        shares[name] = same[-1] / rows[-1]["objects_pairs"]
    assert shares["minigrid-redbluedoors"] < shares["minigrid-keycorridor"]
    digest = load_bundle(MODELS / "minigrid-keycorridor").digest
    assert f"| minigrid-keycorridor ({digest[:8]}) | MiniGrid-RedBlueDoors-6x6-v0 | 3 |" in pairs(
        {"one": (tmp_path / "minigrid-keycorridor.json").read_text()}
    )
