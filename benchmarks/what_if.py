"""Measures how often the turn at the fork follows an edited cue: `python -m benchmarks.what_if --out runs/what-if.json`.

An agent plays MiniGrid-MemoryS11-v0 greedily through a real server. At the fork (benchmarks.corridor) WhatIf edits the words
of its memory; then the episode is branched there, once without an edit and once with, and the environment, taken to the same
step again, is played on (`shelm.gym.branch`). The edits:

| edit | |
| --- | --- |
| everywhere | key and ball are exchanged in every step, the fork's own among them |
| cue | key and ball are exchanged in the steps before the fork that showed the cue |
| removed | these steps hold no words |

Contract: a turn flips if the most probable action is the opposite turn. Actions are greedy, so all episodes of one start are
the same, and intervals are of as many observations as there are starts. Failure policy: an error of the server ends the
benchmark.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shelm import Client, Outcome, Remove, Replace, Swap
from shelm.edits import Edit
from shelm.gym import branch, minigrid_env
from shelm.gym.intervals import wilson
from shelm.gym.starts import start_of
from tqdm import tqdm

from benchmarks.corridor import Played, agent_stub, frame_of, play, served_at
from training.quick import parse
from training.word_edits import write

ENVIRONMENT = "MiniGrid-MemoryS11-v0"
FIRST_SEED = 1_000_000
OTHER = {"key": "ball", "ball": "key"}
OPPOSITE = {0: 1, 1: 0}  # MiniGrid's turns
EDITS = ("everywhere", "cue", "removed")
BRANCHES = ("none", "cue")  # edits with which the episode is played on
Record = dict[str, Any]


def edits_of(played: Played, first: int) -> dict[str, list[Edit]]:
    """Returns the edits of an episode with a fork, by name. first: the first step within reach."""
    assert played.fork is not None
    shown = [step for step in played.sightings if first <= step < played.fork]
    cue: list[Edit] = [
        Replace(word, OTHER[word], step) for step in shown for word in played.words[step].split() if word in OTHER
    ]
    return {"none": [], "everywhere": [Swap("key", "ball")], "cue": cue, "removed": [Remove(step=step) for step in shown]}


def asked(client: Client, env: Any, played: Played, seed: int, start: str) -> Record:
    """Returns the record of an episode."""
    record: Record = {"seed": seed, "start": start, "object": played.cue, "return": round(played.total, 4)}
    if played.fork is None or played.fork_frame is None:
        return record
    step, frame = played.fork, frame_of(played.fork_frame)
    edits = edits_of(played, client.what_if(played.name, step, [], frame).reach_from_step)
    found = client.what_if(played.name, step, [edits[name] for name in EDITS], frame)
    turned = found.actual.most_probable
    assert isinstance(turned, int), "MiniGrid's actions are discrete"
    record |= {"fork": step, "turn": turned, "probability": _chance(found.actual, turned)}
    for name, one in zip(EDITS, found.alternatives, strict=True):
        record[name] = {
            "flips": one.most_probable == OPPOSITE[turned],
            "change": round(one.change or 0.0, 6),
            "probability": _chance(one, turned),
            "edited_steps": len(one.words),
        }
    for name in BRANCHES:
        rollout = branch(client, env, played.name, step, edits[name], seed=seed)
        record[f"branch {name}"] = {"return": round(rollout.total, 4), "length": rollout.length}
    return record


def _chance(outcome: Outcome, action: int) -> float:
    return round(outcome.distribution.probabilities[action], 6)


def figures(records: Sequence[Record]) -> Record:
    """Returns the counts of the page's tables."""
    forks = [one for one in records if "fork" in one]
    starts = len({one["start"] for one in forks})
    edits = {name: _share([one[name]["flips"] for one in forks], starts) for name in EDITS}
    branches = {
        name: {
            "mean_return": round(sum(one[f"branch {name}"]["return"] for one in forks) / len(forks), 4),
            **_share([one[f"branch {name}"]["return"] > 0 for one in forks], starts),
        }
        for name in BRANCHES
    }
    same = sum(one["branch none"]["return"] == one["return"] for one in forks)
    solved = sum(one["return"] > 0 for one in records)
    counts = {"episodes": len(records), "forks": len(forks), "starts": starts, "solved": solved, "same_as_source": same}
    return {**counts, "edits": edits, "branches": branches}


def _share(hits: Sequence[bool], starts: int) -> Record:
    low, high = wilson(sum(hits) / len(hits), starts)
    return {"count": sum(hits), "share": round(sum(hits) / len(hits), 4), "interval": [round(low, 4), round(high, 4)]}


def main(arguments: list[str] | None = None) -> None:
    """Plays, asks, branches, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="models/minigrid-memory")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--out", type=Path, required=True)
    options = parse(parser, arguments, episodes=2)
    env = minigrid_env(ENVIRONMENT)
    records = []
    with served_at(options.bundle) as target, agent_stub(target) as stub, Client(target, timeout=120.0) as client:
        (agent,) = client.agents()
        for seed in tqdm(range(options.first_seed, options.first_seed + options.episodes), unit="episode", mininterval=5):
            played = play(stub, env, seed, deterministic=True)
            env.reset(seed=seed)
            records.append(asked(client, env, played, seed, start_of(env, seed)))
    head = {"agent": agent.name, "digest": agent.digest, "env": ENVIRONMENT}
    found = figures(records)
    write(options.out, "benchmarks.what_if", arguments, {**head, **found, "records": records})
    print(*(f"{name}: {value}" for name, value in found.items()), sep="\n")


if __name__ == "__main__":
    main()
