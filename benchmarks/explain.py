"""Measures whether ExplainStep names the decisive word: `python -m benchmarks.explain --bundle models/minigrid-memory`.

An agent plays MiniGrid-MemoryS11-v0 through a real server, on frames of the environment's own renderer. At the fork
(benchmarks.corridor) ExplainStep receives the frame, and the word with the largest change is compared with the cue. Seeds
are those of the evaluation (1,000,000 onward) and actions are sampled, so a run can be reproduced. Writes every episode with
all its words and their changes. Failure policy: an error of the server ends the benchmark.
"""

import argparse
import json
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shelm.gym import minigrid_env
from shelm.v1 import agent_pb2
from tqdm import tqdm

from benchmarks.corridor import SECONDS, Played, play, served
from training.quick import parse

ENVIRONMENT = "MiniGrid-MemoryS11-v0"
FIRST_SEED = 1_000_000
OUT = Path("runs/explain")
NOTICEABLE = 0.05  # a word with a smaller change did not decide the step
Record = dict[str, Any]


def explained(stub: Any, played: Played) -> Record:
    """Returns the record of an episode."""
    record: Record = {
        "episode": played.name,
        "cue": played.cue,
        "return": round(played.total, 4),
        "length": len(played.words),
        "fork": played.fork,
    }
    if played.fork is None:
        return record
    step = played.fork
    request = agent_pb2.ExplainStepRequest(episode_id=played.name, step=step, observation=played.fork_frame)
    reply = stub.ExplainStep(request, timeout=SECONDS)
    action = reply.action.discrete
    return record | {
        "turned_to": played.turned_to,
        "words_seen": played.words[: step + 1],
        "sightings": [one for one in played.sightings if reply.reach_from_step <= one < step],
        "action": action,
        "probability": round(reply.decision.probabilities[action], 6),
        "words": [
            {
                "word": one.tokens[0].text,
                "change": round(one.change, 6),
                "steps": list(one.steps),
                "flips": one.without.most_probable != reply.decision.most_probable,
                "probability_without": round(one.without.probabilities[action], 6),
            }
            for one in reply.words
        ],
        "steps": [{"step": one.steps[0], "change": round(one.change, 6)} for one in reply.steps],
    }


def names_cue(record: Record) -> bool:
    """Whether the most influential word is the cue."""
    return bool(record["words"][0]["word"] == record["cue"])


def supports_cue(record: Record) -> bool:
    """Whether the cue is the word without which the chosen action would be least probable."""
    return bool(min(record["words"], key=lambda one: one["probability_without"])["word"] == record["cue"])


def frequent_is_cue(record: Record) -> bool:
    """Whether the most frequent word is the cue: the baseline of counting words."""
    counts = Counter({one["word"]: len(one["steps"]) for one in record["words"]})
    return bool(counts.most_common(1)[0][0] == record["cue"])


def summary(records: Sequence[Record]) -> dict[str, str]:
    """Returns the figures for docs/results/explain.md."""
    forks = [one for one in records if one["fork"]]
    seen = [one for one in forks if one["sightings"]]
    unseen = [one for one in forks if not one["sightings"]]
    decided = [one for one in seen if one["words"][0]["change"] >= NOTICEABLE]
    distinct = list({(one["cue"], one["action"], *one["words_seen"]): one for one in seen}.values())

    def share(of: Sequence[Record], has: Callable[[Record], bool]) -> str:
        count = sum(map(has, of))
        return f"{count} of {len(of)} ({100 * count / len(of):.0f} %)" if of else "0 of 0"

    return {
        "solved": share(records, lambda one: one["return"] > 0),
        "with a fork": share(records, lambda one: bool(one["fork"])),
        "forks with the cue seen before, within reach": share(forks, lambda one: bool(one["sightings"])),
        "most influential word is the cue: all forks": share(forks, names_cue),
        "most influential word is the cue: cue seen": share(seen, names_cue),
        "most influential word is the cue: cue not seen": share(unseen, names_cue),
        f"most influential word is the cue: cue seen, change at least {NOTICEABLE}": share(decided, names_cue),
        "most influential word is the cue: cue seen, distinct histories": share(distinct, names_cue),
        "word that supports the action most is the cue: cue seen": share(seen, supports_cue),
        "most frequent word is the cue: cue seen": share(seen, frequent_is_cue),
        "most probable action flips without the most influential word: cue seen": share(
            seen, lambda one: bool(one["words"][0]["flips"])
        ),
        "most influential step is a sighting: cue seen": share(
            seen, lambda one: one["steps"][0]["step"] in one["sightings"]
        ),
        "chance of that: mean share of sightings among steps": f"{_mean_sightings(seen):.2f}",
    }


def _mean_sightings(records: Sequence[Record]) -> float:
    return float(sum(len(one["sightings"]) / one["fork"] for one in records) / max(1, len(records)))


def row(record: Record) -> str:
    """Returns a row of a table."""
    number = record["episode"].removeprefix("explain-")
    if not record["fork"]:
        return f"| {number} | {record['cue']} | no fork | | | {record['return']:.2f} |"
    words = ", ".join(f"{one['word']} {one['change']:.3f}" for one in record["words"][:4])
    seen = "yes" if record["sightings"] else "not seen"
    right = "yes" if names_cue(record) else "no"
    return f"| {number} | {record['cue']}, {seen} | {words} | {right} | {record['turned_to']} | {record['return']:.2f} |"


def main() -> None:
    """Plays, explains, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="models/minigrid-memory")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--out", type=Path, help=f"default: {OUT}/NAME OF THE BUNDLE.json")
    options = parse(parser, None, episodes=2)
    env = minigrid_env(ENVIRONMENT)
    with served(options.bundle) as stub:
        agent = stub.GetAgent(agent_pb2.GetAgentRequest(), timeout=SECONDS).agent
        seeds = range(options.first_seed, options.first_seed + options.episodes)
        records = [explained(stub, play(stub, env, seed)) for seed in tqdm(seeds, unit="episode", mininterval=5)]
    figures = summary(records)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    head = {"environment": ENVIRONMENT, "agent": agent.name, "digest": agent.digest, "commit": commit, "figures": figures}
    out = options.out or OUT / f"{Path(options.bundle).name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(one) for one in records)
    out.write_text(f'{json.dumps(head, indent=1)[:-2]},\n "episodes": [\n{lines}\n]}}\n')
    print(*(row(record) for record in records), *(f"{name}: {value}" for name, value in figures.items()), sep="\n")


if __name__ == "__main__":
    main()
