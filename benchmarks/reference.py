"""Times a step of the engines against the reference way: `python -m benchmarks.reference [--json FILE] [--quick]`.

A step is: frames -> words -> memory vectors -> action distributions, for 1 and 16 episodes that advance together, in one
process with all cores. Both ways have the same weights, frames, preprocessing and actor-critic, and take turns; medians of
the rounds. The reference way is that of benchmarks.reference_way, in float32. Profiles: `paper` (ViT-B/16 and an 18-layer
Transformer-XL with seeded random weights, so the times are real and the words are not), `shipped` (the default agent, its
own window only). Frames: `unique` (no frame ever comes again), `minigrid` (of random walks in MiniGrid-MemoryS11, after the
first 1,000 steps; the engines cache words). Episodes are longer than the window. Rows: profile, window, episodes, frames,
reference_ms, ours_ms, ratio, cached (share of our frames whose words were cached).
"""

import itertools
import statistics
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from agent.bundle import PolicyPart, load_bundle
from agent.engines.dtype import resolve_dtype
from agent.engines.policy import load_policy
from agent.engines.retrieval import make_retriever
from agent.frame import Frame
from agent.memory.ring_transformer import RingTransformer
from agent.memory.transformer_xl.model import TransformerXL, TransformerXLConfig
from agent.memory.transformer_xl.weights import random_transformer_xl
from agent.memory.weights import LanguageModelSpec, load_language_model
from agent.policy.actor_critic import ActorCritic, PolicyEngine
from agent.retrieval.clip import load_clip, preprocess_cfg
from agent.retrieval.preprocess import Preprocessing
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Vocabulary, load_vocabulary
from benchmarks.deployments import BUNDLE, record_frames
from benchmarks.reference_way import ReferenceMemory, ReferenceRetrieval
from benchmarks.report import interleaved, options, spread, table, write

WINDOWS, QUICK_WINDOWS = (15, 63, 255, 511), (15,)
EPISODES = (1, 16)
ROUNDS, QUICK_ROUNDS = 5, 1
BEFORE = 1000  # steps of the walk before what is timed
WORDS = 2000  # of the paper profile's vocabulary
Frames = Callable[[int], list[Frame]]


@dataclass(frozen=True)
class Profile:
    """What both ways compute with."""

    name: str
    clip: str
    vocabulary: Vocabulary
    k: int
    policy: PolicyEngine
    retriever: TokenRetriever
    models: dict[int, tuple[RingTransformer[Any], RingTransformer[Any]]]  # by window: in float32, and in the engines' dtype


def paper(windows: tuple[int, ...], dtype: str) -> Profile:
    """The sizes of the paper, with seeded random weights."""
    torch.manual_seed(0)
    vocabulary = Vocabulary([f"word{i}" for i in range(WORDS)], torch.randn(WORDS, 512), torch.arange(WORDS))
    whole = random_transformer_xl(0, lm_token_ids=vocabulary.token_ids, window=1, tokens_per_step=1)
    common: dict[str, Any] = {"config": TransformerXLConfig(), "embeddings": whole.embeddings, "stack": list(whole.stack)}
    plain = {window: TransformerXL(window=window, tokens_per_step=1, **common) for window in windows}
    common["stack"] = deepcopy(common["stack"])
    fast = {window: in_dtype(TransformerXL(window=window, tokens_per_step=1, **common), dtype) for window in windows}
    policy = ActorCritic(PolicyPart(weights="none"), height=56, width=56, memory=1024, actions=7, deviations=0)
    clip = "random:ViT-B-16/0"
    return Profile(
        "paper",
        clip,
        vocabulary,
        1,
        PolicyEngine(policy.eval(), "cpu"),
        make_retriever(clip, vocabulary, k=1, dtype=dtype),
        {window: (plain[window], fast[window]) for window in windows},
    )


def shipped(dtype: str) -> Profile:
    """The default agent."""
    bundle = load_bundle(Path(BUNDLE))
    part, vocabulary, k = bundle.manifest.memory, load_vocabulary(bundle), bundle.manifest.retrieval.k
    spec = LanguageModelSpec(kind="causal_lm", source=part.source, layers=part.layers, window=part.window)
    model: Any = load_language_model(spec, lm_token_ids=vocabulary.token_ids, tokens_per_step=k)
    clip = bundle.source(bundle.manifest.retrieval.clip)
    return Profile(
        "shipped",
        clip,
        vocabulary,
        k,
        load_policy(bundle, device="cpu"),
        make_retriever(clip, vocabulary, k=k, dtype=dtype),
        {part.window: (model, in_dtype(deepcopy(model), dtype))},
    )


def in_dtype(model: RingTransformer[Any], dtype: str) -> RingTransformer[Any]:
    """Changes a float32 model's number format."""
    number = resolve_dtype(dtype, "cpu")
    if number is torch.float16:
        model.halve()
        return model
    return model.to(number)


def unique_frames() -> Frames:
    """Returns what gives frames of noise, none of them twice."""
    generator = np.random.default_rng(0)
    return lambda count: list(generator.integers(0, 256, (count, 56, 56, 3), np.uint8))


def minigrid_frames(walk: list[Frame]) -> Frames:
    """Returns what gives the next frames of a walk, from its beginning again when it ends."""
    frames = itertools.cycle(walk)
    return lambda count: list(itertools.islice(frames, count))


def ways(profile: Profile, window: int, episodes: int, frames: Frames, steps: int) -> dict[str, Callable[[], Any]]:
    """Returns the two ways; each call takes `steps` steps with new frames."""
    model, fast = profile.models[window]
    clip: Any = load_clip(profile.clip)
    tower = clip.model.visual.eval()
    preprocess = Preprocessing(cfg=preprocess_cfg(clip.model), mode="model", device=torch.device("cpu"))
    theirs = ReferenceRetrieval(tower=tower, preprocess=preprocess, vocabulary=profile.vocabulary, k=profile.k)
    memory = ReferenceMemory(model, episodes)
    memory.length = start = 4 * window * profile.k
    memory.inputs = [torch.randn_like(one) for one in memory.inputs]  # memory that was never written costs less to read
    cache, rows = fast.new_cache(episodes), torch.arange(episodes)
    lengths = torch.full((episodes,), start)
    past = torch.randn(episodes, 2, fast.heads, window - 1, fast.head_dim, dtype=fast.embeddings.dtype)
    cache.restore(list(range(episodes)), lengths.tolist(), [past] * fast.layers)

    def reference() -> None:
        for _ in range(steps):
            now = frames(episodes)
            vectors = memory.step(torch.tensor(theirs.retrieve(now)))
            profile.policy.decide(list(zip(profile.policy.encode(now), vectors.numpy(), strict=True)))

    def ours() -> None:
        for _ in range(steps):
            now = frames(episodes)
            words = torch.tensor([[word.row for word in found] for found in profile.retriever.retrieve(now)])
            vectors = fast.step(cache, rows, lengths, words)
            lengths.add_(profile.k)
            profile.policy.decide(list(zip(profile.policy.encode(now), vectors.numpy(), strict=True)))

    return {"reference": reference, "ours": ours}


def rows(profiles: list[Profile], rounds: int, quick: bool) -> Iterator[dict[str, Any]]:
    """Measures all combinations."""
    walk = record_frames(BEFORE + 4000)
    kinds = {"unique": unique_frames(), "minigrid": minigrid_frames(walk[BEFORE:])}
    for profile in profiles:
        for start in range(0, BEFORE, 50):
            profile.retriever.retrieve(walk[start : start + 50])
    cases = [(p, w, e, kind) for p in profiles for w in p.models for e in EPISODES for kind in kinds]
    for profile, window, episodes, kind in tqdm(cases, unit="case"):
        steps = 1 if quick or profile.name == "paper" else 20
        hits, misses = profile.retriever.hits, profile.retriever.misses
        found = interleaved(ways(profile, window, episodes, kinds[kind], steps), rounds)
        hits, misses = profile.retriever.hits - hits, profile.retriever.misses - misses
        milliseconds = {name: [1000 * one / steps for one in values] for name, values in found.items()}
        medians = {name: statistics.median(values) for name, values in milliseconds.items()}
        yield {
            "profile": profile.name,
            "window": window,
            "episodes": episodes,
            "frames": kind,
            "reference_ms": medians["reference"],
            "ours_ms": medians["ours"],
            "ratio": medians["reference"] / medians["ours"],
            "cached": hits / (hits + misses),
            "spread": {name: spread(values) for name, values in milliseconds.items()},
        }


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--dtype", default="auto", help="of our engines: float32, bfloat16, float16 or auto")
    parser.add_argument("--windows", type=int, nargs="*", help="of the paper profile")
    chosen = parser.parse_args()
    windows = tuple(chosen.windows or (QUICK_WINDOWS if chosen.quick else WINDOWS))
    profiles = [shipped(chosen.dtype), paper(windows, chosen.dtype)]
    found = list(rows(profiles, chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS), chosen.quick))
    print(table({name: value for name, value in row.items() if name != "spread"} for row in found))
    used = str(resolve_dtype(chosen.dtype, "cpu")).removeprefix("torch.")
    write({"dtype": used, "threads": torch.get_num_threads(), "rows": found}, chosen.json)


if __name__ == "__main__":
    main()
