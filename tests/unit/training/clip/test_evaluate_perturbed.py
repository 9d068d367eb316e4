"""What the words of perturbed frames are compared with."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.earlier import earlier_bundle

from training.clip import evaluate_perturbed
from training.clip.evaluate_perturbed import compare, perturbed
from training.clip.scenes import BALL, KEY


def test_names_count_where_one_kind_is_in_view_and_sameness_everywhere() -> None:
    views = np.zeros((3, 7, 7, 3), np.uint8)
    views[0, 2, 2, 0] = views[1, 2, 2, 0] = views[2, 2, 2, 0] = KEY
    views[2, 3, 3, 0] = BALL
    found = compare(views, ["key", "ball", "ball"], ["key", "key", "ball"])
    assert found == {"frames": 3, "same": 2 / 3, "one_kind": 2, "right": 0.5}


def test_each_frame_is_perturbed_in_its_own_way_and_always_the_same() -> None:
    frames = np.full((2, 8, 8, 3), 128, np.uint8)
    one, same = (perturbed(frames, "noise 16") for _ in range(2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one[0], one[1])


@pytest.mark.slow
def test_the_command_compares_bundles_and_filters(tmp_path: Path) -> None:
    out, bundle = tmp_path / "words.json", str(earlier_bundle(tmp_path / "minigrid-memory"))
    command = ["--bundle", bundle, bundle, "--env", "MiniGrid-MemoryS7-v0", "--steps", "20"]
    evaluate_perturbed.main([*command, "--filter", "none", "stretched", "--out", str(out)])
    rows = {(row["bundle"], row["filter"], row["perturbation"]): row for row in json.loads(out.read_text())["rows"]}
    assert rows[0, "none", "clean"]["same"] == 1
    assert rows[0, "none", "noise 16"]["same"] == rows[1, "none", "noise 16"]["same"]
    assert rows[0, "stretched", "brightness 0.5"]["same"] > rows[0, "none", "brightness 0.5"]["same"]
