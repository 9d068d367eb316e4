"""Follows an agent from every distinct start of a MiniGrid-Memory environment, and sorts its failures by what it remembered:
`python -m training.traces --bundle models/NAME --env MiniGrid-MemoryS11-v0 --out FILE`.

What the words of an episode say of the cue is its naming, the first that applies:

| naming | |
| --- | --- |
| unseen | the cue was never in view |
| unnamed | no step that showed the cue remembered its word |
| conflated | steps that showed the cue remembered the other object's word too |
| forgotten | the cue's word was out of the window's reach when the episode ended |
| named | the cue's word, and no other object's, was in reach |

Contract: actions are greedy, so there is one episode per start, and it is the same at each run. An episode ends at the right
object, at the wrong one, or has `never` arrived after `--most-steps`. FILE has, for each start, how it ended, its naming,
and by step: words, whether the cue and whether a choice was in view, and the action. Failure policy: an environment without
a fork ends the command with what was expected.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from agent.bundle import AgentBundle, load_bundle
from agent.vocabulary import load_vocabulary
from training.agents import load_bundle_agent
from training.environments import single_environment
from training.evaluate import Episode, play
from training.memory import EditedMemory
from training.quick import parse
from training.starts import distinct_starts
from training.word_edits import choices, cue, end_of, in_view, write

NAMINGS = ("unseen", "unnamed", "conflated", "forgotten", "named")
OTHER = {"key": "ball", "ball": "key"}


def naming(steps: list[dict[str, Any]], *, cue_word: str, window: int) -> str:
    """Returns what the words of an episode say of the cue. steps: each with `words` and `cue` (whether it was in view).
    window: words within reach.
    """
    shown = [at for at, step in enumerate(steps) if step["cue"]]
    if not shown:
        return "unseen"
    if not (right := [at for at in shown if cue_word in steps[at]["words"]]):
        return "unnamed"
    if any(OTHER[cue_word] in steps[at]["words"] for at in shown):
        return "conflated"
    return "forgotten" if (len(steps) - right[-1]) * len(steps[0]["words"]) > window else "named"


def follow(bundle: AgentBundle, env_id: str, starts: list[int], *, most_steps: int) -> list[dict[str, Any]]:
    """Plays all starts at once; returns one record for each."""
    agent, words = load_bundle_agent(bundle, num_envs=len(starts)), load_vocabulary(bundle).words
    memory = agent.memory
    assert isinstance(memory, EditedMemory)
    episodes = [Episode(single_environment(env_id), seed=seed, row=row) for row, seed in enumerate(starts)]
    objects = [episode.env.unwrapped.grid.get(*cue(episode.env)).type for episode in episodes]
    steps: list[list[dict[str, Any]]] = [[] for _ in episodes]

    def note(episode: Episode, action: Any) -> None:
        found = [words[row] for row in memory.remembered(episode.row)[-1]]
        cue_seen, choice_seen = (in_view(episode.env, cells) for cells in ([cue(episode.env)], choices(episode.env)))
        steps[episode.row].append({"words": found, "cue": cue_seen, "choice": choice_seen, "action": int(action)})

    play(agent, episodes, deterministic=True, most_steps=most_steps, on_action=note)
    window = bundle.manifest.memory.window
    return [
        {
            "start": episode.seed,
            "cue": what,
            "end": end_of(episode),
            "naming": naming(taken, cue_word=what, window=window),
            "steps": taken,
        }
        for episode, what, taken in zip(episodes, objects, steps, strict=True)
    ]


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--starts", type=int, help="only the first of them")
    parser.add_argument("--most-steps", type=int, default=200)
    options = parse(parser, arguments, starts=2, most_steps=30)
    torch.set_num_threads(1)
    bundle = load_bundle(options.bundle)
    try:
        starts = distinct_starts(options.env)[: options.starts]
        episodes = follow(bundle, options.env, starts, most_steps=options.most_steps)
    except ValueError as error:
        sys.exit(f"training.traces: {error}")
    content = {"agent": bundle.name, "digest": bundle.digest, "env": options.env, "most_steps": options.most_steps}
    write(options.out, "training.traces", arguments, content | {"episodes": episodes})
    for episode in episodes:
        if episode["end"] != "right":
            print(f"start {episode['start']:5} {episode['cue']:5} {episode['end']:6} {episode['naming']}")


if __name__ == "__main__":
    main()
