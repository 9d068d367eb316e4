"""The engines on a device, alone and as a pipeline, at every size of a batch.

Rows: part (`retrieval`, `memory`, `policy`, or `pipeline`), window, batch, p50_ms, p99_ms, rate (Acts per second) and, for
retrieval and memory, the shares of the roofline. In `pipeline` every frame is encoded, in `pipeline cached` none is.
Slots are full before memory is measured. A batch that does not fit into the device's memory is a row with `error`.
"""

import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from agent.bundle import AgentBundle
from agent.engines.dtype import resolve_dtype
from agent.engines.policy import load_policy
from agent.engines.retrieval import load_retriever
from agent.memory.weights import LanguageModelSpec, load_language_model
from agent.vocabulary import load_vocabulary
from benchmarks.bundles import noise
from benchmarks.figures import percentiles_ms
from benchmarks.gpu.roofline import Work, shares, step_work, timed, tower_work
from benchmarks.local_agent import LocalAgent

Row = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """Where and how often. bandwidth, rate: measured, of the device."""

    device: str
    dtype: str
    batches: Sequence[int]
    repeats: int
    bandwidth: float
    rate: float


def measured(setup: Setup, work: Callable[[], Any], least: Work | None, batch: int, **names: Any) -> Row:
    """Times one call; returns its row."""
    try:
        seconds = timed(work, setup.device, setup.repeats)
    except torch.OutOfMemoryError as error:
        return {**names, "batch": batch, "error": str(error)[:120]}
    p = percentiles_ms(seconds)
    middle = statistics.median(seconds)
    limits = shares(least, middle, bandwidth=setup.bandwidth, rate=setup.rate) if least else {}
    return {
        **names,
        "batch": batch,
        "p50_ms": p["p50_ms"],
        "p99_ms": p["p99_ms"],
        "rate": round(batch / middle, 1),
        **limits,
    }


def language_model(bundle: AgentBundle, setup: Setup) -> Any:
    """Loads a bundle's language model."""
    part, dtype = bundle.manifest.memory, resolve_dtype(setup.dtype, setup.device)
    spec = LanguageModelSpec(kind=part.kind, source=part.source, layers=part.layers, window=part.window)
    ids = load_vocabulary(bundle).token_ids
    return load_language_model(spec, lm_token_ids=ids, tokens_per_step=1, device=setup.device, dtype=dtype)


def memory_rows(bundle: AgentBundle, setup: Setup) -> Iterator[Row]:
    """Measures a step at every batch, on full slots."""
    model, window = language_model(bundle, setup), bundle.manifest.memory.window
    for batch in setup.batches:
        try:
            yield _memory_row(model, setup, batch)
        except torch.OutOfMemoryError as error:
            yield {"part": "memory", "window": window, "batch": batch, "error": str(error)[:120]}
        _free()


def _memory_row(model: Any, setup: Setup, batch: int) -> Row:
    cache = model.new_cache(batch)
    cache.keys.normal_()
    cache.values.normal_()
    slots, lengths = torch.arange(batch), torch.full((batch,), 4 * model.window)
    words = torch.zeros(batch, 1, dtype=torch.int64)

    step = model.stepper(cache)

    def work() -> None:
        step(slots, lengths, words)
        lengths.add_(1)

    return measured(setup, work, step_work(model, batch), batch, part="memory", window=model.window)


def retrieval_rows(bundle: AgentBundle, setup: Setup) -> Iterator[Row]:
    """Measures frames that were never seen, at every batch."""
    retriever = load_retriever(bundle, device=setup.device, dtype=setup.dtype, cache_frames=0)
    tokens = len(retriever.visual.positional_embedding)  # type: ignore[arg-type]
    for batch in setup.batches:
        frames, least = noise(batch), tower_work(retriever.visual, batch, tokens)
        yield measured(setup, lambda f=frames: retriever.retrieve(f), least, batch, part="retrieval", window=None)  # type: ignore[misc]
    _free()


def policy_rows(bundle: AgentBundle, setup: Setup) -> Iterator[Row]:
    """Measures the actor-critic, encoding included, at every batch."""
    policy, size = load_policy(bundle, device=setup.device), bundle.manifest.memory.dimension
    for batch in setup.batches:
        frames, vectors = noise(batch), list(torch.randn(batch, size).numpy())

        def work(frames: Any = frames, vectors: Any = vectors) -> None:
            policy.decide(list(zip(policy.encode(frames), vectors, strict=True)))

        yield measured(setup, work, None, batch, part="policy", window=None)


def pipeline_rows(bundle: AgentBundle, setup: Setup, *, cached: bool) -> Iterator[Row]:
    """Measures whole Acts without services at every batch: frames -> words -> memory -> actions."""
    agent = LocalAgent(
        bundle,
        device=setup.device,
        dtype=setup.dtype,
        slots=max(setup.batches),
        slot_bytes=None,
        cache_frames=4096 if cached else 0,
    )
    for batch in setup.batches:
        frames, names = noise(batch), [f"{batch}-{i}" for i in range(batch)]
        part = "pipeline cached" if cached else "pipeline"
        yield measured(
            setup,
            lambda n=names, f=frames: agent.act(n, f),  # type: ignore[misc]
            None,
            batch,
            part=part,
            window=bundle.manifest.memory.window,
        )
        for name in names:
            agent.forget(name)
    _free()


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def rows(bundles: Sequence[AgentBundle], setup: Setup) -> Iterator[Row]:
    """Measures everything; bundles: of one agent with several windows."""
    yield from retrieval_rows(bundles[0], setup)
    yield from policy_rows(bundles[0], setup)
    for bundle in bundles:
        yield from memory_rows(bundle, setup)
        for cached in (True, False):
            yield from pipeline_rows(bundle, setup, cached=cached)
