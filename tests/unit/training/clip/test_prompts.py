"""Prompts: what is counted, and the command with a shipped agent."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.clip.frames import distinct_frames
from training.clip.prompts import compare, main, mcnemar
from training.report import prompts as report

BUNDLE = Path(__file__).parents[4] / "models" / "minigrid-memory"


def test_frames_that_only_one_names_rightly_are_lost_or_won() -> None:
    views, _ = distinct_frames("MiniGrid-MemoryS7-v0", 200)
    single = np.array([view for view in views if len(set(np.unique(view[..., 0]).tolist()) & {5, 6}) == 1][:4])
    names = ["key" if (view[..., 0] == 5).any() else "ball" for view in single]
    own, other = [names[0], names[1], "wall", "wall"], [names[0], "wall", names[2], "floor"]
    found = compare(single, other, own)
    assert found == {"frames": 4, "changed": 3, "one_kind": 4, "right": 2, "lost": 1, "won": 1}


def test_mcnemar_is_exact() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(3, 3) == 1
    assert mcnemar(5, 0) == pytest.approx(2 * 0.5**5)


@pytest.mark.long
def test_a_shipped_agent_gets_words_and_plays_with_its_own_vocabulary_and_with_another(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    env = "MiniGrid-MemoryS7-v0"
    few = ["--prompts", "a {}", "--env", env, "--steps", "300", "--play", env, "--starts", "2"]
    main(["--bundle", str(BUNDLE), *few, "--out", str(out)])
    content = json.loads(out.read_text())
    assert content["words"][0]["right"] == content["words"][0]["one_kind"] > 0
    assert [row["prompts"] for row in content["played"]] == ["own", "a {}"]
    text = report.generated({"one.json": out.read_text()})
    assert f"| {env} | `a {{}}` | {content['words'][0]['frames']} |" in text
