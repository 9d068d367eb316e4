"""What memory said of the cue, and a trace of real episodes."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.report import traces as report
from training.traces import main, naming

BUNDLE = Path(__file__).parents[3] / "models" / "minigrid-memory"


def step(words: str, *, cue: bool = False) -> dict[str, Any]:
    return {"words": words.split(), "cue": cue}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([step("key"), step("wall")], "unseen"),
        ([step("wall", cue=True), step("key")], "unnamed"),
        ([step("key", cue=True), step("ball", cue=True)], "conflated"),
        ([step("key ball", cue=True)], "conflated"),
        ([step("key", cue=True), *[step("wall")] * 4], "forgotten"),
        ([step("key wall", cue=True), *[step("wall floor")] * 2], "forgotten"),
        ([step("key", cue=True), *[step("wall")] * 3], "named"),
        ([step("key", cue=True), *[step("ball")] * 3], "named"),
    ],
)
def test_the_naming_is_the_first_that_applies(steps: list[dict[str, Any]], expected: str) -> None:
    assert naming(steps, cue_word="key", window=4) == expected


@pytest.mark.slow
def test_every_start_is_followed_to_its_end_and_the_page_counts_it(tmp_path: Path) -> None:
    out = tmp_path / "before-S7.json"
    main(["--bundle", str(BUNDLE), "--env", "MiniGrid-MemoryS7-v0", "--starts", "4", "--out", str(out)])
    content = json.loads(out.read_text())
    assert content["command"].startswith("python -m training.traces --bundle ")
    assert len({episode["start"] for episode in content["episodes"]}) == 4
    ends = [episode["end"] for episode in content["episodes"]]
    assert {"right", "wrong"} <= set(ends)  # this agent turns without having seen the cue in some starts of S7
    for episode in content["episodes"]:
        assert (len(episode["steps"]) == 200) == (episode["end"] == "never")
        assert any(one["choice"] for one in episode["steps"])
    text = report.generated({out.name: out.read_text()})
    assert f"| minigrid-memory | MiniGrid-MemoryS7-v0 | 4 | {ends.count('right')} | {ends.count('wrong')} |" in text
    assert text.count("| wrong |") == 1 + ends.count("wrong")  # the head, and a line for each


def test_an_environment_without_a_fork_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="expected one of MiniGrid-Memory"):
        main(["--bundle", str(BUNDLE), "--env", "MiniGrid-Empty-5x5-v0", "--starts", "1", "--out", str(tmp_path / "x.json")])
