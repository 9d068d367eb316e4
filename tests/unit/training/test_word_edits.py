"""Edited memories: the same vectors as if the words had always been so; what decides at the fork; what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agent.bundle import load_bundle
from training.agents import load_bundle_agent
from training.environments import single_environment
from training.memory import Edit, EditedMemory
from training.word_edits import ENDS, choices, cue, in_view, main

BUNDLE = Path(__file__).parents[3] / "models" / "minigrid-memory"
S7 = "MiniGrid-MemoryS7-v0"


def walked(count: int) -> list[np.ndarray]:
    env = single_environment(S7)
    frames = [env.reset(seed=3)[0], *(env.step(action)[0] for action in (2, 0, 1, 2, 1, 1, 2))]
    env.close()
    return [np.stack([frame, frame]) for frame in frames[:count]]


@pytest.mark.slow
def test_a_memory_that_is_rewritten_is_one_whose_words_were_always_so() -> None:
    torch.set_num_threads(1)
    memory = load_bundle_agent(load_bundle(BUNDLE), num_envs=2).memory
    assert isinstance(memory, EditedMemory)
    frames = walked(8)
    shown = [memory._words(both[:1])[0] for both in frames]
    one, other = shown[0][0], next(words[0] for words in shown if words != shown[0])
    edit: Edit = lambda words: tuple({one: other}.get(row, row) for row in words)  # noqa: E731
    memory.begin(0)
    memory.begin(1)
    memory.edits[0] = edit
    for both in frames[:6]:
        edited, plain = memory.remember(both, [0, 1])
    assert not np.allclose(edited, plain, atol=1e-3), "the edit changes what is remembered"
    memory.edits.pop(0)
    memory.rewrite(1, edit, range(6))
    for both in frames[6:]:
        edited, rewritten = memory.remember(both, [0, 1])
        assert rewritten == pytest.approx(edited, abs=1e-5)


def test_the_cue_and_the_fork_are_seen_where_they_are() -> None:
    env = single_environment("MiniGrid-MemoryS11-v0")
    env.reset(seed=0)
    world: Any = env.unwrapped
    kinds = {world.grid.get(*place).type for place in choices(env)}
    assert kinds == {"key", "ball"}
    assert world.grid.get(*cue(env)).type in kinds
    world.agent_pos, world.agent_dir = (2, 5), 3  # beside the cue, looking up
    assert (in_view(env, [cue(env)]), in_view(env, choices(env))) == (True, False)
    world.agent_pos, world.agent_dir = (9, 5), 0  # at the fork, looking away from the first room
    assert (in_view(env, [cue(env)]), in_view(env, choices(env))) == (False, True)
    env.close()


@pytest.mark.slow
def test_with_the_cues_word_swapped_the_shipped_agent_chooses_the_other_object(tmp_path: Path) -> None:
    out = tmp_path / "edits.json"
    main(["--bundle", str(BUNDLE), "--env", "MiniGrid-MemoryS11-v0", "--starts", "8", "--out", str(out)])
    result = json.loads(out.read_text())
    cells = {(one["edit"], one["way"]): one for one in result["cells"]}
    assert all(sum(one[end] for end in ENDS) == 8 for one in cells.values())
    assert cells["none", "coming"]["right"] > 4
    assert cells["swapped", "coming"]["wrong"] > 4
    assert cells["emptied", "coming"]["right"] < 4


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--env", "MiniGrid-Empty-5x5-v0"], "MiniGrid-Memory"), (["--env", S7, "--neutral", "qqq"], "'qqq'")],
)
def test_what_cannot_be_edited_is_refused(tmp_path: Path, options: list[str], named: str) -> None:
    with pytest.raises(SystemExit, match=named):
        main(["--bundle", str(BUNDLE), *options, "--starts", "1", "--out", str(tmp_path / "out.json")])
