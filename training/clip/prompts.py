"""What the prompts of a vocabulary change: `python -m training.clip.prompts --bundle models/minigrid-memory --out FILE`.

For each set of prompts, the words of the agent's vocabulary are embedded anew, and retrieved for each distinct frame of a
random walk: how many first words differ from those of the agent's own vocabulary, and on frames with one kind of object, how
often the word is its name, beside the own vocabulary frame by frame. `--play ID` plays greedily from every distinct start
with each vocabulary: words keep their token ids, so the memory and the policy stay as they are.

Contract: p is McNemar's, exact and two-sided, of the frames that only one of the two vocabularies names rightly. Failure
policy: a bundle whose CLIP is not in a file ends the command with its error.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest  # type: ignore[import-untyped]
from tqdm import tqdm

from agent.build_vocabulary.build import embed
from agent.build_vocabulary.prompts import NAMED
from agent.bundle import AgentBundle, load_bundle
from agent.engines.retrieval import make_retriever
from agent.retrieval.clip import ClipModel, load_clip
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Vocabulary, load_vocabulary
from training.agents import load_bundle_agent
from training.clip.evaluate import words_of
from training.clip.frames import ENVIRONMENTS, distinct_frames, single_kinds
from training.engines import CACHE_FRAMES
from training.environments import single_environment
from training.evaluate import Episode, play
from training.quick import parse
from training.robustness import summary
from training.starts import distinct_starts
from training.word_edits import write

PROMPTS = {"a {}": ("a {}",), **{name: NAMED[name] for name in ("psychlab", "avalon")}, "captions": ("{}", "a {}")}
STEPS = 5000  # of the random walk


def retrievers(bundle: AgentBundle, names: Sequence[str]) -> dict[str, TokenRetriever]:
    """Returns the retriever of the bundle's own vocabulary, "own", and those of the same words under named prompts."""
    part, own = bundle.manifest.retrieval, load_vocabulary(bundle)
    clip: ClipModel = load_clip(bundle.source(part.clip))
    vocabularies = {"own": own} | {name: prompted(own, clip, name) for name in names}
    return {
        name: make_retriever(
            bundle.source(part.clip), one, k=part.k, preprocessing=part.preprocessing, cache_frames=CACHE_FRAMES
        )
        for name, one in vocabularies.items()
    }


def prompted(own: Vocabulary, clip: ClipModel, name: str) -> Vocabulary:
    """Returns the vocabulary with the embeddings of its words under prompts."""
    embeddings = embed(clip, own.words, PROMPTS[name])
    return Vocabulary(own.words, embeddings, own.token_ids, own.provenance)


def compare(views: NDArray[np.uint8], words: list[str], own: list[str]) -> dict[str, Any]:
    """Returns counts of frames: all, those whose word differs, those with one kind of object, and of these, those that are
    named rightly, by the own vocabulary alone, and by this one alone.
    """
    single = single_kinds(views)
    right, before = (np.array([found[row] == name for row, name in single.items()]) for found in (words, own))
    lost, won = int((before & ~right).sum()), int((right & ~before).sum())
    return {
        "frames": len(words),
        "changed": sum(word != other for word, other in zip(words, own, strict=True)),
        "one_kind": len(single),
        "right": int(right.sum()),
        "lost": lost,
        "won": won,
    }


def mcnemar(lost: int, won: int) -> float:
    """Returns the exact two-sided p of McNemar's test; 1 if no frame is named rightly by one alone."""
    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def played(
    bundle: AgentBundle, retriever: TokenRetriever, env_id: str, starts: list[int], most_steps: int
) -> dict[str, Any]:
    """Plays greedily from every start with the retriever's words."""
    agent = load_bundle_agent(bundle, num_envs=len(starts), retriever=retriever)
    episodes = [Episode(single_environment(env_id), seed=seed, row=row) for row, seed in enumerate(starts)]
    play(agent, episodes, deterministic=True, most_steps=most_steps)
    return summary(np.array([[episode.total if episode.done else 0.0] for episode in episodes]))


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--prompts", nargs="+", choices=tuple(PROMPTS), default=list(PROMPTS), metavar="NAME")
    parser.add_argument("--env", nargs="+", default=list(ENVIRONMENTS), help="whose frames get words")
    parser.add_argument("--play", nargs="*", default=[], metavar="ID", help="environments to play in")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the random walk")
    parser.add_argument("--starts", type=int, help="only the first of them")
    parser.add_argument("--most-steps", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    options = parse(parser, arguments, prompts=list(PROMPTS)[:2], env=list(ENVIRONMENTS)[:1], steps=60, starts=2)
    torch.set_num_threads(1)
    bundle = load_bundle(options.bundle)
    engines, rows, returns = retrievers(bundle, options.prompts), list[dict[str, Any]](), list[dict[str, Any]]()
    for env_id in tqdm(options.env, unit="environment"):
        views, frames = distinct_frames(env_id, options.steps)
        found = {name: [words[0] for words in words_of(engine, list(frames))] for name, engine in engines.items()}
        rows += [{"env": env_id, "prompts": name} | compare(views, found[name], found["own"]) for name in options.prompts]
    for env_id in options.play:
        starts = distinct_starts(env_id)[: options.starts]
        for name, engine in engines.items():
            one = played(bundle, engine, env_id, starts, options.most_steps)
            returns.append({"env": env_id, "prompts": name, "starts": len(starts)} | one)
    content = {"agent": bundle.name, "digest": bundle.digest, "prompts": PROMPTS, "words": rows, "played": returns}
    write(options.out, "training.clip.prompts", arguments, content)


if __name__ == "__main__":
    main()
