"""Parity of `TransformerXL` with the last published TransfoXLModel, and what the memory service builds on.

The golden vectors are described in tests/golden/transformer_xl/make_golden.py. Relative error everywhere here: the largest
absolute difference of any number, divided by the largest absolute value expected, all in float32.
"""

import runpy
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.process import REPOSITORY
from torch import Tensor

from agent.history import history_reach
from agent.memory.ring_transformer import REBUILD_CHUNK
from agent.memory.slot_cache import SlotCache
from agent.memory.transformer_xl.model import TransformerXL, TransformerXLConfig
from agent.memory.transformer_xl.published import load_transformer_xl
from agent.memory.transformer_xl.weights import assemble_transformer_xl

GOLDEN = REPOSITORY / "tests/golden/transformer_xl"
PARITY = 1e-5
REBUILT = 1e-5  # one pass and step by step sum in another order
VISIBLE = 1e-3  # a difference that no rounding explains
SMALL = TransformerXLConfig(
    vocab_size=60, cutoffs=(20, 40), d_model=32, d_embed=32, n_head=4, d_head=8, d_inner=64, n_layer=4, clamp_len=10
)
seeded_tensor = runpy.run_path(str(GOLDEN / "seeded_weights.py"))["seeded_tensor"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max())


def seeded_model(config: TransformerXLConfig, **options: Any) -> TransformerXL:
    return assemble_transformer_xl(
        lambda name, shape: torch.from_numpy(seeded_tensor(name, shape)), config=config, **options
    )


def small_model(*, window: int = 5, tokens_per_step: int = 1, layers: int = 3, **options: Any) -> TransformerXL:
    words = torch.arange(SMALL.vocab_size)
    return seeded_model(SMALL, lm_token_ids=words, window=window, tokens_per_step=tokens_per_step, layers=layers, **options)


def random_words(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(SMALL.vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def run_episode(
    model: TransformerXL, words: Tensor, *, cache: SlotCache | None = None, slot: int = 0, length: int = 0
) -> Tensor:
    """Step through words (steps, k) in one slot -> (steps, d_model)."""
    cache = cache or model.new_cache(1)
    outputs = [
        model.step(cache, torch.tensor([slot]), torch.tensor([length + step * words.shape[1]]), row[None])
        for step, row in enumerate(words)
    ]
    return torch.cat(outputs)


def run_golden(model: TransformerXL, words: Tensor, reset: Tensor) -> Tensor:
    """(steps, rows, k) -> (steps, rows, d_model); like the reference run, in slots of another order than the rows."""
    rows, tokens = words.shape[1:]
    cache, lengths = model.new_cache(rows), torch.zeros(rows, dtype=torch.int64)
    slots = torch.arange(rows).flip(0)
    outputs = []
    for step, step_words in enumerate(words):
        if [step] == reset[:1].tolist():
            cache.clear(int(slots[reset[1]]))
            lengths[reset[1]] = 0
        outputs.append(model.step(cache, slots, lengths, step_words))
        lengths += tokens
    return torch.stack(outputs)


@pytest.mark.parametrize("case", ["k1", "k4", "masked_k1", "masked_k4"])
def test_small_model_computes_what_the_published_code_computes(case: str) -> None:
    cases = load_file(GOLDEN / "small_cases.safetensors")
    words = cases[f"{case}.words"]
    ids, rows = torch.unique(words, return_inverse=True)
    assert set(torch.bucketize(ids, torch.tensor(SMALL.cutoffs), right=True).tolist()) == {0, 1, 2}
    model = load_transformer_xl(
        GOLDEN / "small", lm_token_ids=ids, window=15, tokens_per_step=words.shape[2], empty_visible="masked" not in case
    )
    assert model.window > SMALL.clamp_len, "clamping should matter"
    error = relative_error(run_golden(model, rows, cases[f"{case}.reset"]), cases[f"{case}.outputs"])
    print(f"small {case}: relative error {error:.1e}")
    assert error <= PARITY


@pytest.mark.long
@pytest.mark.slow
def test_full_size_model_computes_what_the_published_code_computes() -> None:
    cases = load_file(GOLDEN / "full_cases.safetensors")
    words = {case: cases[f"{case}.words"] for case in ("k1", "k4")}
    ids = torch.unique(torch.cat([case_words.flatten() for case_words in words.values()]))
    clusters = torch.bucketize(ids, torch.tensor([20_000, 40_000, 200_000]), right=True)
    assert set(clusters.tolist()) == {0, 1, 2, 3}, "all four clusters of the vocabulary should occur"
    model = seeded_model(TransformerXLConfig(), lm_token_ids=ids, window=31, tokens_per_step=4)
    for case, case_words in words.items():
        rows = torch.searchsorted(ids, case_words)
        error = relative_error(run_golden(model, rows, cases[f"{case}.reset"]), cases[f"{case}.outputs"])
        print(f"full {case}: relative error {error:.1e}")
        assert error <= PARITY


@pytest.mark.parametrize("tokens", [1, 3])
@pytest.mark.parametrize("empty_visible", [True, False])
@pytest.mark.parametrize(("window", "steps"), [(5, 1), (5, 4), (5, 40), (1, 4), (100, 120), (100, 140)])
def test_rebuild_in_one_pass_equals_step_by_step(window: int, steps: int, empty_visible: bool, tokens: int) -> None:
    model = small_model(window=window, tokens_per_step=tokens, empty_visible=empty_visible)
    words = random_words(steps + window, tokens)
    stepped, length = model.new_cache(2), steps * tokens
    run_episode(model, words[:steps], cache=stepped)
    rebuilt = model.new_cache(2)
    run_episode(model, random_words(9, tokens, seed=1), cache=rebuilt)  # what another episode left behind
    history = words[:steps].flatten()
    model.rebuild(rebuilt, 0, length, history[-history_reach(3, window) or length :])
    actual = run_episode(model, words[steps:], cache=rebuilt, length=length)
    expected = run_episode(model, words[steps:], cache=stepped, length=length)
    assert relative_error(actual, expected) <= REBUILT
    assert not rebuilt.keys[:, 1].any(), "the other slot was not touched"


def test_rebuild_takes_several_chunks_in_these_tests() -> None:
    assert history_reach(3, 100) > 2 * REBUILD_CHUNK


def test_rebuild_from_no_tokens_leaves_an_empty_slot() -> None:
    model = small_model()
    cache = model.new_cache(1)
    run_episode(model, random_words(3, 1), cache=cache)
    model.rebuild(cache, 0, 0, random_words(0))
    assert not cache.keys.any()
    assert not cache.values.any()


@pytest.mark.parametrize("missing", [0, 1])
def test_history_reach_suffices_and_one_token_fewer_does_not(missing: int) -> None:
    layers, window = 2, 4
    model = small_model(layers=layers, window=window)
    words = random_words(30, 1)
    expected = run_episode(model, words)[-1]
    enough = (layers - 1) * (window - 1) + window - 1  # docs/paper.md#reach, less the current token
    assert enough == history_reach(layers, window)
    cache = model.new_cache(1)
    model.rebuild(cache, 0, 29, words[29 - enough + missing : 29].flatten())
    error = relative_error(run_episode(model, words[29:], cache=cache, length=29)[0], expected)
    assert error > VISIBLE if missing else error <= REBUILT


def test_the_furthest_token_in_reach_changes_the_memory_vector_and_the_one_before_does_not() -> None:
    model, words = small_model(layers=2, window=4), random_words(30, 1)
    expected = run_episode(model, words)[-1]
    for back, changes in ((history_reach(2, 4), True), (history_reach(2, 4) + 1, False)):
        changed = words.clone()
        changed[29 - back] = (changed[29 - back] + 1) % SMALL.vocab_size
        assert (relative_error(run_episode(model, changed)[-1], expected) > 1e-5) is changes


@pytest.mark.parametrize("empty_visible", [True, False])
def test_rows_of_different_ages_in_one_step_equal_one_at_a_time(empty_visible: bool) -> None:
    model = small_model(tokens_per_step=2, empty_visible=empty_visible)
    ages = [0, 1, 3, 17]
    episodes = [random_words(age + 4, 2, seed=age) for age in ages]
    alone = [run_episode(model, words)[-4:] for words in episodes]
    cache = model.new_cache(6)
    slots = [4, 0, 5, 2]
    for slot, age, words in zip(slots, ages, episodes, strict=True):
        run_episode(model, words[:age], cache=cache, slot=slot) if age else None
    for step in range(4):
        lengths = torch.tensor([2 * (age + step) for age in ages])
        latest = torch.stack([words[age + step] for age, words in zip(ages, episodes, strict=True)])
        together = model.step(cache, torch.tensor(slots), lengths, latest)
        for row, expected in enumerate(alone):
            assert relative_error(together[row], expected[step]) <= REBUILT


def test_empty_slots_are_seen_until_the_reach_is_full_unless_masked() -> None:
    words = random_words(30, 1)
    visible = run_episode(small_model(empty_visible=True), words)
    masked = run_episode(small_model(empty_visible=False), words)
    full = history_reach(3, 5)
    assert relative_error(visible[0], masked[0]) > VISIBLE
    assert relative_error(visible[full:], masked[full:]) <= REBUILT


def test_fewer_layers_are_the_first_layers() -> None:
    words = random_words(20, 1)
    whole, first_two = small_model(layers=4), small_model(layers=2)
    whole_cache, cache = whole.new_cache(1), first_two.new_cache(1)
    run_episode(whole, words, cache=whole_cache)
    memory = run_episode(first_two, words, cache=cache)[-1]
    assert torch.equal(cache.keys, whole_cache.keys[:2])
    third_layer: Any = whole.stack[2]
    _, projected = third_layer.project(memory[None, None], None)
    position = 19 % whole_cache.capacity
    assert relative_error(whole_cache.keys[2, 0, :, position], projected[0, 0, 0]) <= REBUILT


def test_steps_neither_train_nor_keep_a_graph() -> None:
    model = small_model().train(False)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not run_episode(model, random_words(2, 1)).requires_grad


def test_half_precision_models_return_float32_close_to_the_full_ones() -> None:
    words = random_words(20, 1)
    full, half = run_episode(small_model(), words), run_episode(small_model().to(torch.bfloat16), words)
    assert half.dtype == torch.float32
    assert 0 < relative_error(half, full) < 0.05
