"""Evaluates agents on an environment's own frames: `python -m training.evaluate --run runs/NAME --env ID --out FILE`.

`--run`, and `--bundle models/NAME` for an agent bundle, may be given several times. Episode i is reset with seed
`--first-seed + i`, or, with `--starts distinct`, with one seed for each distinct start, so every agent plays the same
episodes. Actions are sampled, or, with `--greedy`, the most probable ones are chosen. `--forget` empties the memory before
every step, which gives the same agent without its past; `--edit` changes two words that it remembers (training.ablations).
The frames come from the environment itself, not from a fast training version of it.

FILE holds means, solved shares, their errors by distinct start, and every episode, as shelm.gym.evaluation says; `shelm
evaluate` writes the same through a server. Failure policy: a run without saved weights, an unknown environment or word, or
an edit of an agent without words ends the command with the file, id, word or option.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from shelm.gym.evaluation import Played, content, out_file, without_rows, write
from shelm.gym.starts import start_of
from tqdm import tqdm

from agent.bundle import load_bundle
from agent.vocabulary import Vocabulary, load_vocabulary
from training.ablations import WORD_EDITS, Ablation, add_words, edit_of
from training.agents import Agent, load_agent, load_bundle_agent
from training.environments import single_environment
from training.quick import parse
from training.starts import distinct_starts

NUM_ENVS = 16  # episodes in parallel
EPISODES = 200
WHOLE = Ablation()


class Episode:
    """One episode with its own environment; `row` is its index in the agent's memory."""

    def __init__(self, env: Any, *, seed: int, row: int) -> None:
        self.env, self.seed, self.row = env, seed, row
        self.frame: NDArray[np.uint8] = env.reset(seed=seed)[0]
        self.steps, self.total, self.done = 0, 0.0, False

    def step(self, action: Any) -> None:
        """Executes an action."""
        self.frame, reward, terminated, truncated, _ = self.env.step(action)
        self.steps, self.total = self.steps + 1, self.total + float(reward)
        self.done = bool(terminated or truncated)


@torch.inference_mode()
def play(
    agent: Agent,
    episodes: list[Episode],
    *,
    deterministic: bool,
    ablation: Ablation = WHOLE,
    most_steps: int | None = None,
    on_action: Callable[[Episode, Any], None] | None = None,
) -> None:
    """Plays episodes in parallel until all have ended, or have `most_steps`. on_action: called with an episode and its
    action before it is executed.
    """
    for episode in episodes:
        agent.begin(episode.row)
    for _ in count() if most_steps is None else range(most_steps):
        if not (running := [episode for episode in episodes if not episode.done]):
            return
        for episode in running:
            ablation.prepare(agent, episode.row, episode.steps)
        frames = np.stack([episode.frame for episode in running])
        places = [(episode.row, episode.seed, episode.steps) for episode in running]
        for episode, action in zip(running, agent.act(frames, places, deterministic=deterministic), strict=True):
            if on_action:
                on_action(episode, action)
            episode.step(action)


def play_seeds(
    agent: Agent, env_id: str, seeds: Sequence[int], *, deterministic: bool, ablation: Ablation = WHOLE
) -> list[Played]:
    """Plays one episode per seed."""
    environments = [single_environment(env_id) for _ in range(min(NUM_ENVS, len(seeds)))]
    played: list[Played] = []
    for first in tqdm(range(0, len(seeds), NUM_ENVS), unit="batch", mininterval=5):
        some = seeds[first : first + NUM_ENVS]
        batch = [Episode(environments[row], seed=seed, row=row) for row, seed in enumerate(some)]
        starts = [start_of(one.env, one.seed) for one in batch]
        play(agent, batch, deterministic=deterministic, ablation=ablation)
        played += [Played(one.seed, start, one.total, one.steps) for one, start in zip(batch, starts, strict=True)]
    return played


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Plays the episodes with every agent; returns the content of the output file."""
    episodes = options.episodes
    if options.starts == "distinct":
        seeds: Sequence[int] = distinct_starts(options.env)[:episodes]
    else:
        seeds = range(options.first_seed, options.first_seed + (episodes or EPISODES))
    agents = []
    for name, agent, words in _agents(options):
        ablation = _ablation(options, words, name["agent"])
        played = play_seeds(agent, options.env, seeds, deterministic=options.deterministic, ablation=ablation)
        agents.append((name, played))
    return content(options.env, agents, deterministic=options.deterministic, edit=_edit(options))


def _agents(options: argparse.Namespace) -> Iterator[tuple[dict[str, str], Agent, list[str]]]:
    """Loads the agents one after the other: what names each, the agent, and its words (none if it remembers none)."""
    for run in options.run:
        settings = json.loads((run / "run.json").read_text())
        agent = load_agent(settings, run, num_envs=NUM_ENVS, device=options.device)
        words = Vocabulary.load(Path(settings["vocabulary"])).words if settings["method"] == "shelm" else []
        yield {"agent": run.name, "method": settings["method"]}, agent, words
    for folder in options.bundle:
        bundle = load_bundle(folder)
        name = {"agent": bundle.name, "digest": bundle.digest}
        yield name, load_bundle_agent(bundle, num_envs=NUM_ENVS), load_vocabulary(bundle).words


def _edit(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the edit as the file names it, with its settings."""
    names = {"swapped": ("edit", "words", "before"), "neutral": ("edit", "words", "neutral", "before")}
    return {name: getattr(options, name) for name in names.get(options.edit, ("edit",))}


def _ablation(options: argparse.Namespace, words: list[str], name: str) -> Ablation:
    if options.edit not in WORD_EDITS:
        return Ablation(options.edit)
    if not words:
        raise ValueError(f"--edit {options.edit}: expected an agent that remembers words, got {name}")
    return Ablation(options.edit, edit_of(options.edit, options.words, options.neutral, words), options.before)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, action="append", default=[], help="folder of a training run")
    parser.add_argument("--bundle", type=Path, action="append", default=[], help="agent bundle; on the CPU")
    parser.add_argument("--env", required=True)
    parser.add_argument("--out", type=out_file, required=True, metavar="FILE", help=".json, or .jsonl: one line an episode")
    parser.add_argument("--episodes", type=int, help=f"of each agent ({EPISODES}, or one from each distinct start)")
    parser.add_argument("--first-seed", type=int, default=1_000_000)
    parser.add_argument("--starts", choices=["seeds", "distinct"], default="seeds", help="(%(default)s)")
    parser.add_argument("--greedy", "--deterministic", dest="deterministic", action="store_true")
    edits = parser.add_mutually_exclusive_group()
    edits.add_argument("--forget", dest="edit", action="store_const", const="emptied", help="empty the memory at each step")
    edits.add_argument("--edit", choices=WORD_EDITS, help="of the words as they come")
    add_words(parser)
    parser.add_argument("--before", type=int, metavar="STEP", help="edit only words of steps before this one")
    parser.add_argument("--device", default="cpu", help="torch device of the models of runs")
    parser.set_defaults(edit="none")
    options = parse(parser, arguments, episodes=2)
    if not (options.run or options.bundle):
        parser.error("--run, --bundle: expected one or more")
    torch.set_num_threads(1)
    try:
        result = evaluate(options)
    except ValueError as error:
        sys.exit(f"training.evaluate: {error}")
    write(result, options.out)
    short = without_rows(result)
    for line in (*short["agents"], *short["differences"]):
        print(line)
    if result["starts_by"] == "seed":
        print("the environment's state cannot be told: each seed counts as a start of its own")


if __name__ == "__main__":
    main()
