"""The measurement of robustness: what each view is shown, what is counted."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from training import ppo, robustness
from training.agents import Frames, Place
from training.environments import single_environment
from training.evaluate import Episode
from training.robustness import Eye, cell, play, summary

FRAMES = [np.full((8, 8, 3), value, np.uint8) for value in range(200)]


class Recorder:
    """Instead of an agent: turns left, and keeps what it was given."""

    def __init__(self) -> None:
        self.remembered: list[Frames] = []
        self.seen: list[Frames] = []

    def begin(self, row: int) -> None:
        """Does nothing."""

    def act_on(self, remembered: Frames, seen: Frames, places: Sequence[Place], *, deterministic: bool) -> list[Any]:
        assert deterministic
        self.remembered.append(remembered)
        self.seen.append(seen)
        return [0 for _ in places]


def given(view: str, steps: int = 3) -> tuple[Recorder, list[np.ndarray]]:
    """What an agent is given in the first steps of an episode under inverted colours, and the frames themselves."""
    agent: Any = Recorder()
    episode = Episode(single_environment("MiniGrid-MemoryS7-v0"), seed=1, row=0)
    clean = [episode.frame]
    step = episode.step
    episode.step = lambda action: (step(action), clean.append(episode.frame))[0]  # type: ignore[method-assign, func-returns-value]
    play(agent, [episode], [Eye("BGR", (0,))], view=view, most_steps=steps)
    return agent, clean[:steps]


@pytest.mark.parametrize(("view", "remembered", "seen"), [("memory", 1, 0), ("policy", 0, 1), ("both", 1, 1)])
def test_a_view_is_perturbed_and_the_other_is_not(view: str, remembered: int, seen: int) -> None:
    agent, clean = given(view)
    for perturbed, frames in ((remembered, agent.remembered), (seen, agent.seen)):
        expected = [frame[..., ::-1] if perturbed else frame for frame in clean]
        assert np.array_equal(np.concatenate(frames), np.stack(expected))


def test_an_eye_repeats_what_it_showed_as_often_as_it_says() -> None:
    for name, share in robustness.REPEATED.items():
        eye = Eye(name, (0,))
        shown = [eye.look(frame) for frame in FRAMES]
        assert np.array_equal(shown[0], FRAMES[0])
        again = [np.array_equal(one, before) for before, one in pairwise(shown)]
        assert np.mean(again) == pytest.approx(share, abs=0.1)
        fresh = [number for number in range(1, len(FRAMES)) if not again[number - 1]]
        assert all(np.array_equal(shown[number], FRAMES[number]) for number in fresh)


def test_what_an_eye_shows_depends_on_its_key_and_step_alone() -> None:
    one, same, other = (Eye("noise 16", key) for key in ((1, 2), (1, 2), (1, 3)))
    frames = [np.stack([eye.look(frame) for frame in FRAMES[:3]]) for eye in (one, same, other)]
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])


def test_intervals_count_starts_and_not_episodes() -> None:
    once = np.array([[1.0], [0.5], [0.0], [0.9]])
    assert summary(np.repeat(once, 50, axis=1))["interval"] == summary(once)["interval"]
    assert summary(once)["solved"] == 0.75
    assert summary(once)["mean_return"] == pytest.approx(0.6)


def test_an_episode_without_an_end_is_not_solved() -> None:
    agent: Any = Recorder()
    options: Any = SimpleNamespace(draws=2, seed=0, most_steps=5)
    environments = [single_environment("MiniGrid-MemoryS7-v0") for _ in range(4)]
    found = cell(agent, environments, [0, 1], name="noise 8", view="both", options=options)
    assert found["returns"] == [[0.0, 0.0], [0.0, 0.0]]
    assert found["lengths"] == [[5, 5], [5, 5]]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cnn", "lstm"])
def test_a_run_without_words_is_measured_in_its_one_view(method: str, tmp_path: Path) -> None:
    task = ["--env", "MiniGrid-MemoryS7-v0", "--task", "MiniGrid-MemoryS7-v0:2"]
    ppo.main([*task, "--method", method, "--steps", "16", "--rollout", "8", "--out", str(tmp_path / "run")])
    command = ["--run", str(tmp_path / "run"), "--env", "MiniGrid-MemoryS7-v0", "--out", str(tmp_path / "out.json")]
    robustness.main([*command, "--perturbation", "clean", "noise 8", "--starts", "2", "--draws", "1", "--most-steps", "5"])
    content = json.loads((tmp_path / "out.json").read_text())
    assert (content["method"], content["run_seed"]) == (method, 0)
    assert [(cell["view"], cell["perturbation"]) for cell in content["cells"]] == [("both", "clean"), ("both", "noise 8")]


@pytest.mark.slow
def test_the_command_measures_a_shipped_agent_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = ["--bundle", "models/minigrid-memory", "--env", "MiniGrid-MemoryS11-v0", "--out", str(out), "--starts", "2"]
    command += ["--draws", "1", "--view", "memory"]
    robustness.main([*command, "--perturbation", "clean"])
    first = json.loads(out.read_text())
    robustness.main([*command, "--perturbation", "clean", "JPEG 95"])
    both = json.loads(out.read_text())
    assert both["cells"][0] == first["cells"][0]
    assert [one["perturbation"] for one in both["cells"]] == ["clean", "JPEG 95"]
    assert both["cells"][0]["solved"] == 1
    with pytest.raises(SystemExit, match="other settings"):
        robustness.main([*command, "--seed", "1"])
