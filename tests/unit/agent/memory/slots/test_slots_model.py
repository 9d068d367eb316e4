"""Any sequence of calls of `MemorySlots` against the plain model, which sees the whole history and has no slots.

Rebuilds and encodings are begun and go on later, chunk by chunk, with steps of other episodes in between, as the memory
service runs them. A step may be computed and never committed; the name of an episode may begin anew.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from support.slots import (
    SAME,
    VOCABULARY,
    WINDOW,
    Make,
    Subject,
    Words,
    asking,
    causal_lm,
    digest,
    driver,
    flat,
    llama,
    relative_error,
    some_words,
    transformer_xl,
)

from agent.history import MemoryVector
from agent.memory.slots import Rebuild, SlotMiss

SLOTS = 2
NAMES = st.sampled_from("abcd")
SEEDS = st.integers(0, 99)  # of a step's words
Batch = list[tuple[str, int]]
BATCH = st.lists(st.tuples(NAMES, SEEDS), min_size=1, max_size=5)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class SlotsMachine(RuleBasedStateMachine):
    """`histories`: what is committed of each episode, the truth that every vector is compared with."""

    def __init__(self, subject: Subject, host: int) -> None:
        super().__init__()
        self.subject = subject
        self.slots = driver(subject, SLOTS, host * subject.model.new_cache(1).slot_bytes).slots
        self.histories: dict[str, list[Words]] = {}
        self.running: list[tuple[Any, list[list[Words]]]] = []  # a rebuild or an encoding, and the whole histories after it

    def words(self, seed: int) -> Words:
        return some_words(1, self.subject.k, seed)[0]

    def history(self, name: str) -> list[Words]:
        return self.histories.get(name, [])

    def check(self, answer: Any, history: Sequence[Words]) -> None:
        assert isinstance(answer, MemoryVector)
        assert answer.history_digest == digest(history)
        assert relative_error(answer.vector, self.subject.vector(flat(history))) <= SAME

    @rule(batch=BATCH, commit=st.booleans(), more=st.integers(0, 2))
    def a_batch(self, batch: Batch, commit: bool, more: int) -> None:
        self.step(batch, commit, more)

    def step(self, batch: Batch, commit: bool = True, more: int = 0) -> None:
        """One step in some episodes; a name that occurs twice takes two. Misses are rebuilt together, then all is committed
        or nothing.
        """
        after = {name: list(self.history(name)) for name, _ in batch}
        asked = []
        for name, seed in batch:
            asked.append(asking(name, after[name], self.words(seed)))
            after[name].append(asked[-1].vocabulary_rows)
        answers: list[Any] = self.slots.remember(asked)
        whole = [[*after[step.episode_id][: step.step], step.vocabulary_rows] for step in asked]
        missed = [i for i, answer in enumerate(answers) if isinstance(answer, SlotMiss)]
        for i in missed:
            assert answers[i] == SlotMiss(min(asked[i].step, self.slots.reach))
            before = whole[i][:-1][-self.slots.reach - more :]
            answers[i] = self.slots.rebuild_and_remember(asked[i], flat(before))
        for answer, history in zip(answers, whole, strict=True):
            self.check(answer, history)
        if commit:
            self.histories |= after

    @rule(batch=BATCH)
    def ask_and_leave_it(self, batch: Batch) -> None:
        """The caller gives up after a miss: nothing may have changed but the slots of the hits."""
        for name, seed in batch:
            history, words = self.history(name), self.words(seed)
            [answer] = self.slots.remember([asking(name, history, words)])
            if not isinstance(answer, SlotMiss):
                self.check(answer, [*history, words])

    @rule(name=NAMES)
    def repeat(self, name: str) -> None:
        """The latest committed step once more, whatever the slot holds."""
        if history := self.history(name):
            step = asking(name, history[:-1], history[-1])
            [answer] = self.slots.remember([step])
            if isinstance(answer, SlotMiss):
                answer = self.slots.rebuild_and_remember(step, flat(history[:-1][-self.slots.reach :]))
            self.check(answer, history)

    @rule(
        names=st.lists(NAMES, min_size=1, max_size=3), seed=SEEDS, more=st.integers(0, 2), others=st.lists(BATCH, max_size=4)
    )
    def rebuild(self, names: list[str], seed: int, more: int, others: list[Batch]) -> None:
        """What memory does after a miss; other episodes' steps go between the first chunks, and the rest follows later."""
        steps = [asking(name, self.history(name), self.words(seed)) for name in names if self.history(name)]
        if steps:
            whole = [[*self.history(step.episode_id), step.vocabulary_rows] for step in steps]
            words = [flat(history[:-1][-self.slots.reach - more :]) for history in whole]
            work = self.slots.rebuilding([Rebuild(*pair) for pair in zip(steps, words, strict=True)])
            self.running.append((work, whole))
            for batch in others:
                if self.running and self.running[-1][0] is work:
                    self.chunks(-1, 1)
                    self.step(batch)

    @rule(seeds=st.lists(SEEDS, min_size=1, max_size=3), steps=st.integers(1, 12))
    def begin_encodings(self, seeds: list[int], steps: int) -> None:
        whole = [some_words(steps + i, self.subject.k, seed) for i, seed in enumerate(seeds)]
        self.running.append((self.slots.encoding([flat(one) for one in whole]), whole))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 3), count=st.integers(1, 3))
    def go_on(self, which: int, count: int) -> None:
        self.chunks(which % len(self.running), count)

    def chunks(self, which: int, count: int) -> None:
        """Some chunks of what is running; its answers, if it ends."""
        work, whole = self.running.pop(which)
        try:
            for _ in range(count):
                next(work)
        except StopIteration as ended:
            for answer, history in zip(ended.value, whole, strict=True):
                vector = MemoryVector(answer, digest(history)) if isinstance(answer, np.ndarray) else answer
                self.check(vector, history)
        else:
            self.running.append((work, whole))

    @precondition(lambda self: self.running)
    @rule()
    def a_caller_gives_up(self) -> None:
        self.running.pop()[0].close()

    @rule(name=NAMES)
    def forget(self, name: str) -> None:
        self.slots.forget(name)
        assert not self.slots.forget(name)

    @rule(name=NAMES, steps=st.integers(0, 4), seed=SEEDS)
    def another_life(self, name: str, steps: int, seed: int) -> None:
        """The name has expired, and another replica has begun it anew and acted: the slot here is of the first life."""
        self.histories[name] = some_words(steps, self.subject.k, seed)

    @rule(name=NAMES, wrong=st.sampled_from([-1, VOCABULARY]))
    def an_invalid_step(self, name: str, wrong: int) -> None:
        words = (wrong, *self.words(0)[1:])
        [answer] = self.slots.remember([asking(name, self.history(name), words)])
        assert isinstance(answer, ValueError)

    @invariant()
    def there_are_no_more_episodes_than_slots(self) -> None:
        assert self.slots.counts.used <= SLOTS


MODELS = [(causal_lm, 2, 0), (llama, 1, 0), (llama, 1, 1), (llama, 4, 0), (transformer_xl, 2, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "k", "host"), MODELS)
def test_every_vector_is_that_of_the_plain_model(make: Make, k: int, host: int) -> None:
    """host: states that find room in the host's memory when they lose their slots."""
    few = settings(max_examples=12, stateful_step_count=30, deadline=None, derandomize=True, report_multiple_bugs=False)
    run_state_machine_as_test(lambda: SlotsMachine(make(WINDOW, k), host), settings=few)  # type: ignore[arg-type]
