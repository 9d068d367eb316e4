"""What predicts actions: made-up steps whose answer is known, and a shipped agent."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.predict import Steps, accuracies, components, main, starts_of, word_features
from training.report.predict import generated

BUNDLE = Path(__file__).parents[3] / "models" / "minigrid-memory"


def steps() -> Steps:
    """40 starts of five steps: the action is the first word of the episode; the frames are noise."""
    rng, made = np.random.default_rng(0), Steps()
    for start in range(40):
        cue, history = start % 2, list[tuple[int, ...]]()
        for step in range(5):
            history.append((cue if step == 0 else 7,))
            made.starts.append(start)
            made.frames.append(rng.integers(256, size=(4, 4, 3), dtype=np.uint8))
            made.words.append(list(history))
            made.actions.append(cue)
    return made


def test_what_only_the_words_tell_is_predicted_from_them_and_not_from_the_frames() -> None:
    found = {row["input"]: row["accuracy"] for row in accuracies(steps(), window=8, classes=2)}
    assert found["words"] == 1
    assert found["frame"] < 0.75
    assert found["words, actions exchanged"] < 0.75
    assert found["both"] > found["frame"]


def test_words_out_of_the_windows_reach_are_not_counted() -> None:
    made = Steps(words=[[(3,), (5,), (5,)]])
    assert word_features(made, window=8).tolist() == [[pytest.approx(1 / 3), pytest.approx(2 / 3), 0, 1]]
    assert word_features(made, window=2).tolist() == [[0, 1, 0, 1]]


def test_components_are_those_of_the_fitted_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32) * [1, 2, 3, 4, 5]
    fitted, others = components(rows.astype(np.float32), rows[:2].astype(np.float32))
    assert np.allclose(fitted[:2], others, atol=1e-4)
    assert fitted.std(0) == pytest.approx(np.ones(5), abs=1e-4)


def test_an_environment_with_many_starts_is_played_from_some_seeds() -> None:
    assert starts_of("MiniGrid-Dynamic-Obstacles-Random-5x5-v0", 5) == [0, 1, 2, 3, 4]
    assert len(starts_of("MiniGrid-MemoryS7-v0", 64)) == 16


@pytest.mark.slow
def test_the_command_plays_a_shipped_agent_and_the_page_reads_it(tmp_path: Path) -> None:
    out = tmp_path / "one.json"
    main(["--bundle", str(BUNDLE), "--env", "MiniGrid-MemoryS7-v0", "--quick", "--most-steps", "8", "--out", str(out)])
    content = json.loads(out.read_text())
    assert content["steps"] > content["starts"] == 8
    assert "| minigrid-memory | MiniGrid-MemoryS7-v0 | 8 |" in generated({"one": out.read_text()})
