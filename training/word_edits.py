"""What an agent's memory decides: plays from every distinct start of a MiniGrid-Memory environment while the words that it
remembers of the cue are edited: `python -m training.word_edits --bundle models/NAME --env MiniGrid-MemoryS11-v0 --out FILE`.

The cue is seen in the first room, the objects to choose from at the fork. The words of each step that shows the cue are
edited, in one of two ways: `coming`, each as it comes, so that the agent walks with an edited memory, or `fork`, all at once
when the fork comes into view after the cue. Words of other steps stay as they are.

| edit | |
| --- | --- |
| none | nothing |
| swapped | the two objects' words are exchanged |
| neutral | both become the neutral word (`--neutral`) |
| emptied | everything is forgotten: `coming` before every step, `fork` once |

Contract: actions are greedy, so a cell has one episode per start and is the same at each run. An episode ends at the right
object, at the wrong one, or has `never` arrived after `--most-steps`. If memory of the cue decides, `swapped` exchanges
right and wrong, and `neutral` leaves chance. Failure policy: an environment that has no fork, and a word that the vocabulary
lacks, end the command with what was expected.
"""

import argparse
import json
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shelm.gym.intervals import wilson
from tqdm import tqdm

from agent.bundle import load_bundle
from agent.vocabulary import load_vocabulary
from training.ablations import WORD_EDITS, add_words, edit_of
from training.agents import MemoryAgent, load_bundle_agent
from training.environments import single_environment
from training.evaluate import Episode
from training.memory import Edit, EditedMemory
from training.quick import parse
from training.run_log import commit
from training.starts import distinct_starts

Cell = tuple[int, int]  # column, row
WAYS = ("coming", "fork")
EDITS = (*WORD_EDITS, "emptied")
ENDS = ("right", "wrong", "never")


def cue(env: Any) -> Cell:
    """Where the cue lies; ValueError if the environment has none."""
    world = env.unwrapped
    place = (1, world.height // 2 - 1)
    if not hasattr(world, "success_pos") or world.grid.get(*place) is None:
        raise ValueError(f"--env: expected one of MiniGrid-Memory, got {type(world).__name__}")
    return place


def choices(env: Any) -> list[Cell]:
    """Where the objects lie that can be chosen: beyond the two places that decide."""
    world = env.unwrapped
    return [(x, y - 1 if y < world.height // 2 else y + 1) for x, y in (world.success_pos, world.failure_pos)]


def in_view(env: Any, cells: Sequence[Cell]) -> bool:
    """Whether the agent sees one of the cells."""
    world = env.unwrapped
    _, visible = world.gen_obs_grid()
    places = [world.get_view_coords(*one) for one in cells]
    side = range(world.agent_view_size)
    return any(across in side and ahead in side and bool(visible[across, ahead]) for across, ahead in places)


@torch.inference_mode()
def play(
    agent: MemoryAgent, episodes: list[Episode], *, name: str, way: str, edit: Edit | None, most_steps: int
) -> list[str]:
    """Plays all episodes at once; returns how each ended."""
    memory = agent.memory
    assert isinstance(memory, EditedMemory)
    for episode in episodes:
        memory.begin(episode.row)
    shown: dict[int, list[int]] = {episode.row: [] for episode in episodes}  # the steps that show the cue
    edited = set[int]()  # the rows that have come to the fork after the cue
    for _ in range(most_steps):
        running = [episode for episode in episodes if not episode.done]
        if not running:
            break
        for episode in running:
            row, cue_in_view = episode.row, in_view(episode.env, [cue(episode.env)])
            if name == "emptied" and way == "coming":
                memory.begin(row)
            if (
                way == "fork"
                and shown[row]
                and row not in edited
                and not cue_in_view
                and in_view(episode.env, choices(episode.env))
            ):
                edited.add(row)
                if name == "emptied":
                    memory.begin(row)
                elif edit:
                    memory.rewrite(row, edit, shown[row])
            if cue_in_view:
                shown[row].append(episode.steps)
            memory.edits.pop(row, None)
            if edit and cue_in_view and way == "coming":
                memory.edits[row] = edit
        frames = np.stack([episode.frame for episode in running])
        places = [(episode.row, episode.seed, episode.steps) for episode in running]
        for episode, action in zip(running, agent.act(frames, places, deterministic=True), strict=True):
            episode.step(action)
    return [end_of(episode) for episode in episodes]


def end_of(episode: Episode) -> str:
    """Returns how an episode of MiniGrid-Memory ended: one of `ENDS`."""
    if not episode.done or episode.steps >= episode.env.unwrapped.max_steps:
        return "never"
    return "right" if episode.total > 0 else "wrong"


def cell(ends: list[str]) -> dict[str, Any]:
    """Counts, and the 95 % Wilson interval of the share that ended right."""
    counts = Counter(ends)
    low, high = wilson(counts["right"] / len(ends), len(ends))
    return {**{end: counts[end] for end in ENDS}, "interval": [round(float(low), 3), round(float(high), 3)], "ends": ends}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Plays every cell; returns the content of the output file."""
    bundle, starts = load_bundle(options.bundle), distinct_starts(options.env)[: options.starts]
    words = load_vocabulary(bundle).words
    edits = {name: edit_of(name, options.words, options.neutral, words) for name in WORD_EDITS}
    agent = load_bundle_agent(bundle, num_envs=len(starts))
    environments = [single_environment(options.env) for _ in starts]
    cells = list[dict[str, Any]]()
    for name, way in tqdm([("none", "coming"), *((name, way) for name in EDITS for way in WAYS)], unit="cell"):
        episodes = [Episode(environments[row], seed=seed, row=row) for row, seed in enumerate(starts)]
        ends = play(agent, episodes, name=name, way=way, edit=edits.get(name), most_steps=options.most_steps)
        cells.append({"edit": name, "way": way} | cell(ends))
    kept = {"words": options.words, "neutral": options.neutral, "most_steps": options.most_steps}
    return {"agent": bundle.name, "digest": bundle.digest, "env": options.env, "starts": starts, **kept, "cells": cells}


def write(out: Path, module: str, arguments: list[str] | None, content: dict[str, Any]) -> None:
    """Writes a result with the command that made it, `python -m module` with these arguments or the process's, and the
    commit.
    """
    command = ["python", "-m", module, *(sys.argv[1:] if arguments is None else arguments)]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"command": shlex.join(command), "commit": commit(), **content}) + "\n")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--out", type=Path, required=True)
    add_words(parser)
    parser.add_argument("--starts", type=int, help="only the first of them")
    parser.add_argument("--most-steps", type=int, default=200)
    options = parse(parser, arguments, starts=2, most_steps=30)
    torch.set_num_threads(1)
    try:
        result = measure(options)
    except ValueError as error:
        sys.exit(f"training.word_edits: {error}")
    write(options.out, "training.word_edits", arguments, result)
    for one in result["cells"]:
        print(f"{one['edit']:8} {one['way']:7} right {one['right']:3} wrong {one['wrong']:3} never {one['never']:3}")


if __name__ == "__main__":
    main()
