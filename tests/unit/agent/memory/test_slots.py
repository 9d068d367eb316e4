"""`MemorySlots` against one episode at a time (see support/slots.py)."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.slots import (
    DEPTH,
    EMPTY,
    LAYERS,
    SAME,
    SMOLLM2,
    SUBJECTS,
    VISIBLE,
    VOCABULARY,
    WINDOW,
    Driver,
    Make,
    Subject,
    Vector,
    Words,
    asking,
    causal_lm,
    digest,
    driver,
    flat,
    llama,
    plain_vector,
    relative_error,
    some_words,
    tiny_llama,
    transformer_xl,
)
from transformers import AutoModel, GPT2Config, GPT2Model

from agent.history import MemoryStep, MemoryVector, empty_history, history_reach
from agent.memory.causal_lm import CausalLanguageModel
from agent.memory.slots import SlotMiss
from agent.memory.weights import LanguageModelSpec, keep_first_layers, load_language_model
from agent.sources import package_file


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_episodes_of_mixed_ages_in_one_batch_equal_one_episode_at_a_time(make: Make, k: int) -> None:
    run = driver(make(WINDOW, k))
    episodes = {f"episode-{age}": some_words(age + 6, k, seed=age) for age in (0, 1, 4, 17)}
    for name, words in episodes.items():
        run.run(name, words[:-6])
    for step in range(-6, 0):
        run.take(*((name, words[step]) for name, words in episodes.items()))
    assert run.slots.counts.rebuilds == 0
    assert run.slots.counts.hits == sum(len(words) for words in episodes.values())


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_the_words_change_the_vector(make: Make, k: int) -> None:
    """Otherwise every comparison here would hold for a constant."""
    subject, words = make(WINDOW, k), some_words(4, k)
    one, other = subject.vector(flat(words)), subject.vector(flat([*words[:2], words[3], words[3]]))
    assert relative_error(one, other) > VISIBLE


@pytest.mark.parametrize("age", [1, 2, 7, 40])
@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_a_rebuilt_slot_goes_on_as_if_it_had_never_been_dropped(make: Make, k: int, age: int) -> None:
    run = driver(make(WINDOW, k))
    words = some_words(age + 5, k)
    run.run("neighbour", some_words(9, k, seed=1))
    run.run("dropped", words[:age])
    assert run.slots.forget("dropped")
    run.run("dropped", words[age:])
    assert run.slots.counts.rebuilds == 1
    run.run("neighbour", some_words(2, k, seed=2))
    assert run.slots.counts.rebuilds == 1, "the neighbour kept its slot"
    counts = run.slots.counts
    assert counts.hits + counts.rebuilds == sum(map(len, run.histories.values())), "each step is one or the other"


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_a_miss_asks_for_no_more_steps_than_there_are_and_no_more_than_reach(make: Make, k: int) -> None:
    run = driver(make(WINDOW, k))
    reach = -(-history_reach(LAYERS, WINDOW) // k)
    words = some_words(40, k)
    for step in (1, reach, 39):
        assert run.slots.remember([asking("unknown", words[:step], words[step])]) == [SlotMiss(min(step, reach))]


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_more_words_than_needed_rebuild_the_same_and_fewer_are_refused(make: Make, k: int) -> None:
    run = driver(make(WINDOW, k))
    words = some_words(30, k)
    before, expected = words[:29], run.subject.vector(flat(words))
    needed = -(-history_reach(LAYERS, WINDOW) // k)
    for steps in (needed, needed + 1, 29):
        answer = run.slots.rebuild_and_remember(asking("episode", before, words[29]), flat(before[29 - steps :]))
        assert relative_error(answer.vector, expected) <= SAME
    for wrong in (flat(before[29 - needed :])[1:], flat(words)):
        with pytest.raises(ValueError, match=f"^history: expected {needed * k} to {29 * k} words for step 29, got"):
            run.slots.rebuild_and_remember(asking("episode", before, words[29]), wrong)
    assert run.slots.counts.used == 1, "a rebuild that is refused leaves the slots as they were"


@pytest.mark.parametrize("make", [llama, transformer_xl])
@pytest.mark.parametrize("missing", [0, 1])
def test_the_bound_suffices_and_one_token_fewer_does_not(make: Make, missing: int) -> None:
    subject = make(WINDOW, 1)
    words = flat(some_words(30, 1))
    bound = history_reach(LAYERS, WINDOW)
    assert bound == (LAYERS - 1) * (WINDOW - 1) + WINDOW - 1, "docs/paper.md#reach, less the token itself"
    cache = subject.model.new_cache(1)
    subject.model.rebuild(cache, 0, 29, torch.tensor(words[29 - bound + missing : 29]))
    vector = subject.model.step(cache, torch.tensor([0]), torch.tensor([29]), torch.tensor([[words[29]]]))
    error = relative_error(vector[0].numpy(), subject.vector(words))
    assert error > VISIBLE if missing else error <= SAME


@pytest.mark.parametrize("layers", [1, 2, DEPTH])
def test_the_first_layers_end_with_the_final_norm(layers: int) -> None:
    run = driver(llama(WINDOW, 1, layers))
    run.run("episode", some_words(15, 1))  # the plain model has all its layers and is read after this one
    assert run.subject.model.layers == layers


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_way_that_attention_is_computed_does_not_matter(attention: str) -> None:
    run = driver(causal_lm(WINDOW, 1, LAYERS, attention))
    run.run("episode", some_words(15, 1))
    run.slots.forget("episode")
    run.run("episode", some_words(3, 1, seed=1))


@pytest.mark.parametrize("layers", [0, DEPTH + 1])
def test_more_layers_than_the_model_has_are_refused(layers: int) -> None:
    with pytest.raises(ValueError, match=f"{layers} layers asked for, it has {DEPTH}"):
        keep_first_layers(tiny_llama(), layers)


def test_a_model_without_rotary_positions_is_refused() -> None:
    model = GPT2Model(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=30, n_positions=16))
    with pytest.raises(ValueError, match="GPT2Model: only models with rotary positions"):
        CausalLanguageModel(model=model, lm_token_ids=torch.arange(5), window=4, tokens_per_step=1)


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_the_step_just_taken_may_be_asked_for_again_and_again(make: Make, k: int) -> None:
    run = driver(make(WINDOW, k))
    words = some_words(8, k)
    run.run("episode", words[:5])
    last = asking("episode", words[:4], words[4])
    answers = run.slots.remember([last]) + run.slots.remember([last])
    expected = run.subject.vector(flat(words[:5]))
    for answer in answers:
        assert isinstance(answer, MemoryVector)
        assert answer.history_digest == digest(words[:5])
        assert relative_error(answer.vector, expected) <= SAME
    assert (run.slots.counts.repeats, run.slots.counts.hits, run.slots.counts.rebuilds) == (2, 5, 0)
    run.run("episode", words[5:])
    assert run.slots.counts.rebuilds == 0, "repeats changed nothing"


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_another_word_for_the_step_just_taken_is_a_miss_and_a_rebuild_gives_the_right_vector(make: Make, k: int) -> None:
    """A commit was lost, and the frame of the retry differs: the history goes on with other words."""
    run = driver(make(WINDOW, k))
    words = some_words(9, k)
    run.run("episode", words[:6])
    run.histories["episode"] = words[:5]  # the sixth was never committed
    other = tuple((word + 1) % VOCABULARY for word in words[5])
    assert run.slots.remember([asking("episode", words[:5], other)]) == [SlotMiss(min(5, run.slots.reach))]
    run.take(("episode", other))
    run.run("episode", words[6:])
    assert run.slots.counts.rebuilds == 1


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_another_word_for_step_0_begins_afresh(make: Make, k: int) -> None:
    run = driver(make(WINDOW, k))
    words = some_words(4, k)
    run.run("episode", words[:1])
    run.histories["episode"] = []
    run.run("episode", words[1:])
    assert run.slots.counts.rebuilds == 0


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_a_state_that_lost_its_slot_returns_from_the_hosts_memory(make: Make, k: int) -> None:
    subject = make(WINDOW, k)
    run = driver(subject, slots=2, host_bytes=2 * subject.model.new_cache(1).slot_bytes)
    episodes = {name: some_words(9, k, seed=seed) for seed, name in enumerate("abcd")}
    for step in range(8):  # four episodes take turns in two slots
        for name, words in episodes.items():
            run.take((name, words[step]))
    assert run.slots.counts.evictions > 8
    assert run.slots.counts.rebuilds == 0
    run.slots.remember([asking("a", run.histories["a"][:7], run.histories["a"][7])])
    assert run.slots.counts.repeats == 1, "the vector of its latest step came back as well"
    assert all(run.slots.forget(name) for name in episodes), "in a slot or not"
    run.run("e", some_words(3, k))
    run.run("a", episodes["a"][8:])
    assert run.slots.counts.rebuilds == 1


def test_the_hosts_memory_is_bounded_too() -> None:
    subject = llama(WINDOW, 1)
    run = driver(subject, slots=1, host_bytes=subject.model.new_cache(1).slot_bytes)
    for name in "abc":
        run.run(name, some_words(3, 1))
    run.run("b", some_words(1, 1, seed=1))
    assert run.slots.counts.rebuilds == 0
    run.run("a", some_words(1, 1, seed=2))
    assert run.slots.counts.rebuilds == 1


def test_the_least_recently_used_slot_is_dropped() -> None:
    run = driver(llama(WINDOW, 1), slots=2)
    run.run("old", some_words(3, 1))
    run.run("young", some_words(3, 1, seed=1))
    run.slots.remember([asking("old", run.histories["old"][:2], run.histories["old"][2])])  # a repeat is a use
    run.run("new", some_words(1, 1, seed=2))
    assert (run.slots.counts.used, run.slots.counts.evictions) == (2, 1)
    run.run("old", some_words(1, 1, seed=3))
    assert run.slots.counts.rebuilds == 0
    run.run("young", some_words(1, 1, seed=4))
    assert (run.slots.counts.rebuilds, run.slots.counts.evictions) == (1, 2)


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_a_batch_may_hold_more_episodes_than_there_are_slots(make: Make, k: int) -> None:
    run = driver(make(WINDOW, k), slots=2)
    for step in range(12):
        run.take(*((f"episode-{i}", some_words(12, k, seed=i)[step]) for i in range(5)))
    assert run.slots.counts.used == 2
    assert run.slots.counts.rebuilds > 0


def test_the_same_episode_twice_in_a_batch_is_taken_in_order() -> None:
    run = driver(llama(WINDOW, 1))
    words = some_words(3, 1)
    steps = [asking("episode", words[:i], words[i]) for i in (0, 1, 1, 2)]
    answers = run.slots.remember(steps)
    for length, answer in zip((1, 2, 2, 3), answers, strict=True):
        assert isinstance(answer, MemoryVector)
        assert relative_error(answer.vector, run.subject.vector(flat(words[:length]))) <= SAME
    assert (run.slots.counts.repeats, run.slots.counts.hits) == (1, 3)


@pytest.mark.parametrize("bad", [-1, VOCABULARY, 2**40])
def test_a_word_outside_the_vocabulary_fails_alone(bad: int) -> None:
    run = driver(llama(WINDOW, 4))
    words = some_words(2, 4)
    good, wrong = asking("good", [], words[0]), MemoryStep("wrong", 0, (*words[0][:3], bad), EMPTY)
    first, second = run.slots.remember([wrong, good])
    assert isinstance(first, ValueError)
    assert str(first) == f"word_ids: expected rows 0..{VOCABULARY - 1} of the vocabulary, got {bad}"
    assert isinstance(second, MemoryVector)
    assert run.slots.counts.used == 1


@pytest.mark.parametrize("words", [(), (1, 2, 3), (1, 2, 3, 4, 5)])
def test_a_wrong_number_of_words_fails_alone(words: Words) -> None:
    run = driver(llama(WINDOW, 4))
    answers = run.slots.remember([MemoryStep("wrong", 0, words, EMPTY), asking("good", [], (1, 2, 3, 4))])
    assert str(answers[0]) == f"word_ids: expected 4 words, got {len(words)}"
    assert isinstance(answers[1], MemoryVector)


def test_a_bad_word_in_a_history_is_refused_and_leaves_no_slot() -> None:
    run = driver(llama(WINDOW, 1))
    with pytest.raises(ValueError, match="word_ids: expected rows"):
        run.slots.rebuild_and_remember(asking("episode", [(1,), (2,)], (3,)), [1, VOCABULARY])
    assert run.slots.counts.used == 0


def test_step_0_must_follow_the_empty_history() -> None:
    run = driver(llama(WINDOW, 1))
    [answer] = run.slots.remember([MemoryStep("episode", 0, (1,), empty_history("b" * 64))])
    assert str(answer).startswith("history_digest: step 0 follows the empty history")
    assert run.slots.counts.used == 0


def test_a_failing_model_drops_the_slots_it_touched_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    run = driver(llama(WINDOW, 1))
    for name in ("untouched", "one", "other"):
        run.run(name, some_words(4, 1))

    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(run.subject.model, "step", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            run.ask([("one", (1,)), ("other", (2,))])
    assert run.slots.counts.used == 1
    run.take(("untouched", (3,)), ("one", (1,)), ("other", (2,)))
    assert run.slots.counts.rebuilds == 2


def test_forget_tells_whether_there_was_a_slot() -> None:
    run = driver(llama(WINDOW, 1))
    run.run("episode", some_words(1, 1))
    assert run.slots.forget("episode")
    assert not run.slots.forget("episode")
    assert run.slots.counts.used == 0


NAMES = st.sampled_from("abcde")
TAKES = st.lists(st.tuples(NAMES, st.integers(0, VOCABULARY - 1)), min_size=1, max_size=6, unique_by=lambda take: take[0])
# (what, batch): take and commit; take and lose the commit; ask again for what is committed last; forget the slots.
OPERATIONS = st.lists(st.tuples(st.sampled_from(["take", "take", "take", "lose", "again", "forget"]), TAKES), max_size=40)


@pytest.mark.parametrize("make", [llama, transformer_xl])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(operations=OPERATIONS)
def test_any_interleaving_gives_the_vectors_of_one_episode_at_a_time(make: Make, operations: list[Any]) -> None:
    run = driver(make(WINDOW, 1), slots=3)
    for what, takes in operations:
        batch = [(name, (word,)) for name, word in takes]
        if what == "take":
            run.take(*batch)
        elif what == "forget":
            for name, _ in batch:
                run.slots.forget(name)
        else:
            check_without_commit(run, batch, again=what == "again")
        assert run.slots.counts.used <= 3


def check_without_commit(run: Driver, batch: Sequence[tuple[str, Words]], *, again: bool) -> None:
    """Asks for a step that is then not committed: a new one, or the last one once more."""
    committed = {name: list(history) for name, history in run.histories.items()}
    if again:
        batch = [(name, run.histories[name].pop()) for name, _ in batch if run.histories.get(name)]
    answers = run.ask(batch)
    assert len(answers) == len(batch)
    for (name, words), answer in zip(batch, answers, strict=True):
        expected = run.subject.vector(flat([*run.histories.get(name, []), words]))
        assert relative_error(answer.vector, expected) <= SAME
    run.histories = committed


@pytest.mark.slow
def test_smollm2_from_its_wheel_equals_the_plain_model_cut_to_two_layers() -> None:
    path = package_file(SMOLLM2)
    plain = AutoModel.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    token_ids = torch.arange(VOCABULARY) * 1000 + 7
    spec = LanguageModelSpec(kind="causal_lm", source=SMOLLM2, layers=2, window=8)
    model = load_language_model(spec, lm_token_ids=token_ids, tokens_per_step=1)

    def vector(words: Words) -> Vector:
        return plain_vector(plain, tuple(token_ids[list(words)].tolist()), window=8, layers=2)

    run = driver(Subject(model, vector), slots=2)
    for step in range(12):
        run.take(*((f"episode-{i}", some_words(12, 1, seed=i)[step]) for i in range(2)))
    run.slots.forget("episode-0")
    run.run("episode-0", some_words(2, 1, seed=9))
    assert run.slots.counts.rebuilds == 1


@pytest.mark.parametrize("fewer", [1, 4, 31])
@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_a_history_whose_steps_have_different_numbers_of_words_is_remembered(make: Make, k: int, fewer: int) -> None:
    """Of 31 steps some words are taken away, and one more is there; then steps follow as always."""
    run = driver(make(WINDOW, k))
    whole = flat(some_words(31, k))
    past = (*whole[min(fewer, len(whole)) :], 3) if fewer < 31 else ()
    before = digest([past])
    for number, words in enumerate(some_words(3, k, seed=5), 31):
        step = MemoryStep("ragged", number, words, before, len(past))
        (answer,) = run.slots.remember([step])
        if isinstance(answer, SlotMiss):
            assert number == 31
            answer = run.slots.rebuild_and_remember(step, past)
        assert isinstance(answer, MemoryVector)
        past, before = (*past, *words), answer.history_digest
        assert relative_error(answer.vector, run.slots.encode_history(past)) <= SAME
    assert run.slots.counts.rebuilds == (1 if fewer < 31 else 0)


def test_a_length_that_cannot_be_is_refused() -> None:
    run = driver(llama(WINDOW, 1))
    for length in (-1, 2**63):
        (answer,) = run.slots.remember([MemoryStep("a", 3, (1,), EMPTY, length)])
        assert isinstance(answer, ValueError)
        assert str(answer).startswith("length: ")
