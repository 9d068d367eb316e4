"""Any sequence of calls, replicas, crashes and losses, against the model of support/store_model.py, on a real Redis.

Two replicas with clients of their own take turns. An answer that is lost is really sent by Redis and dropped by the client's
connection, so the client library's own retry takes part.
"""

import asyncio
import copy
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis.exceptions import ConnectionError as RedisConnectionError
from support.store_model import ENDED_TTL, TTL, StoreModel, plain
from support.stored import record

from agent.history import extend_history
from services.protocol.values import EpisodeState
from services.runtime.errors import ServiceError
from services.store.episodes import Commit, Committed, EpisodeStore, new_episode
from services.store.history import HistoryReader
from services.store.keys import entry_id, episode_key, history_key
from services.store.redis import connect_redis

RETAINED = 3
AGENTS = {"tiny": "a" * 64, "other": "b" * 64}
NAMES, REPLICAS, WORDS = st.sampled_from(["one", "two"]), st.integers(0, 1), st.integers(0, 4)
AHEAD = st.sampled_from([0, 0, 0, 0, -1, -2, -4, -5, -9, 1])  # of the step that follows the state; far back is step 0
REFUSED = {"NOT_FOUND", "TOO_OLD", "GAP", "ENDED", "STALE"}
FRESH = st.sampled_from([True, True, False])  # whether a replica reads the episode before it computes a step
LOST = st.sampled_from([0, 0, 0, 1, 2])  # answers, one after the other; the client library repeats a call once


class Losing(redis.asyncio.Connection):
    """A connection that drops the next `losses` answers to a script, after Redis has run it."""

    losses, _script = 0, False

    async def send_command(self, *args: Any, **kwargs: Any) -> None:
        await super().send_command(*args, **kwargs)  # which may connect first, with commands of its own
        self._script = args[0] == "EVALSHA"

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        answer = await super().read_response(*args, **kwargs)
        if self._script and Losing.losses:
            Losing.losses -= 1
            raise RedisConnectionError("the answer was lost")
        return answer


def next_commit(state: EpisodeState, ahead: int = 0, word: int = 0) -> Commit:
    """What a replica that believes in this state commits."""
    step = max(0, state.committed + 1 + ahead)
    taken = record(step, word=10 * step + word)
    digest = extend_history(state.history_digest, [one.row for one in taken.words])
    return state, step, replace(taken, history_digest=digest)


def after(commit: Commit) -> EpisodeState:
    """What the replica believes when that has been committed."""
    state, step, taken = commit
    return replace(state, history_digest=taken.history_digest, committed=step, length=state.length + len(taken.words))


Step = tuple[EpisodeState, bool, int, int]


class StoreMachine(RuleBasedStateMachine):
    """`states`: what replicas have read or believe, of any age and of any life of a name."""

    states = Bundle("states")
    STEP = st.tuples(states, FRESH, AHEAD, WORDS)

    def __init__(self, loop: asyncio.AbstractEventLoop, clients: list[Any], seen: set[str]) -> None:
        super().__init__()
        self.loop, self.clients, self.lives, self.seen = loop, clients, 0, seen
        self.ask(clients[0].flushall())

    @initialize(archive=st.booleans())
    def start(self, archive: bool) -> None:
        arguments: dict[str, Any] = {"ttl": TTL, "ended_ttl": ENDED_TTL, "retained": RETAINED, "archive": archive}
        self.stores = [EpisodeStore(client, **arguments) for client in self.clients]
        self.model = StoreModel(RETAINED, archive)

    def ask(self, call: Coroutine[Any, Any, Any]) -> Any:
        """The answer without times, or the reason of the error."""
        try:
            return plain(self.loop.run_until_complete(call))
        except ServiceError as error:
            return error.reason

    def begin(self, name: str, agent: str = "tiny") -> EpisodeState:
        self.lives += 1
        state = new_episode(name, agent=agent, agent_digest=AGENTS[agent])
        return replace(state, incarnation=f"life-{self.lives}")

    def expected(self, commit: Commit) -> Any:
        """What the model answers to a commit, which has changed it."""
        outcome = self.model.commit(*commit)
        self.seen.add(outcome if isinstance(outcome, str) else getattr(outcome, "reason", type(outcome).__name__))
        return outcome

    def checked_commit(self, commit: Commit, via: int) -> Any:
        outcome = self.ask(self.stores[via].commit(*commit))
        assert outcome == self.expected(commit)
        return outcome

    @rule(target=states, name=NAMES, agent=st.sampled_from(list(AGENTS)))
    def a_replica_believes_that_the_name_is_new(self, name: str, agent: str) -> EpisodeState:
        return self.begin(name, agent)

    @rule(target=states, state=states, seed=st.integers(1, 2), deterministic=st.booleans())
    def a_replica_believes_in_other_values(self, state: EpisodeState, seed: int, deterministic: bool) -> EpisodeState:
        return replace(state, seed=seed, deterministic=deterministic)

    @rule(state=states, via=REPLICAS)
    def create(self, state: EpisodeState, via: int) -> None:
        assert self.ask(self.stores[via].create(state)) == self.model.create(state)

    @rule(target=states, name=NAMES, count=st.sampled_from([1, 2, 5, 6]), word=WORDS, via=REPLICAS)
    def some_acts(self, name: str, count: int, word: int, via: int) -> EpisodeState:
        """As policy makes them: the state is read afresh, and each step follows the one before."""
        known, _ = read if isinstance(read := self.ask(self.stores[via].read(name)), tuple) else (None, None)
        state = known or self.begin(name)
        for _ in range(count):
            commit = next_commit(state, word=word)
            outcome = self.checked_commit(commit, via)
            state = after(commit) if outcome == Committed() else state
        return state

    def computed(self, state: EpisodeState, fresh: bool, ahead: int, word: int) -> Commit:
        """A step from the episode as it is, or from a state of any age and of any life of the name."""
        return next_commit(self.model.episodes.get(state.episode_id, state) if fresh else state, ahead, word)

    @rule(target=states, step=STEP, via=REPLICAS, lost=LOST)
    def commit(self, step: Step, via: int, lost: int) -> EpisodeState:
        """Where the answer is lost for good, the other replica repeats the step."""
        commit = self.computed(*step)
        first = [self.expected(commit) for _ in range(lost)]
        Losing.losses = lost
        if lost > 1:
            assert self.ask(self.stores[via].commit(*commit)) == "STORE_UNAVAILABLE"
            via = 1 - via
        outcome = self.checked_commit(commit, via)
        return after(commit) if Committed() in (outcome, *first) else commit[0]

    @rule(batch=st.lists(STEP, min_size=2, max_size=4), via=REPLICAS)
    def commit_together(self, batch: list[Step], via: int) -> None:
        commits = [self.computed(*one) for one in batch]
        assert self.ask(self.stores[via].commit_all(commits)) == [self.expected(one) for one in commits]

    @rule(step=STEP)
    def race(self, step: Step) -> None:
        """Both replicas commit the same step with different words: as if one came after the other."""
        commits = [self.computed(*step[:3], word) for word in (5, 6)]
        outcomes = self.ask(together(*[store.commit(*one) for store, one in zip(self.stores, commits, strict=True)]))
        orders = [copy.deepcopy(self.model) for _ in range(2)]
        expected = [
            [orders[0].commit(*commits[0]), orders[0].commit(*commits[1])],
            [orders[1].commit(*commits[1]), orders[1].commit(*commits[0])][::-1],
        ]
        assert outcomes in expected
        self.model = orders[expected.index(outcomes)]

    @rule(name=NAMES, rewards=st.lists(st.sampled_from([None, 0.0, 1.5]), min_size=1, max_size=3), via=REPLICAS)
    def end(self, name: str, rewards: list[float | None], via: int) -> None:
        """Once, or again by the other replica."""
        for i, reward in enumerate(rewards):
            assert self.ask(self.stores[(via + i) % 2].end(name, reward)) == self.model.end(name, reward)

    @rule(state=states, via=REPLICAS)
    def mark_as_archived(self, state: EpisodeState, via: int) -> None:
        assert self.ask(self.stores[via].archived(state)) == self.model.archived(state)

    @rule(name=NAMES, via=REPLICAS)
    def delete(self, name: str, via: int) -> None:
        assert self.ask(self.stores[via].delete(name)) == self.model.delete(name)

    @rule(name=NAMES, what=st.sampled_from(["both", "description"]))
    def expires(self, name: str, what: str) -> None:
        """Both keys at once, or its description a moment before its steps."""
        keys = [episode_key(name), history_key(name)]
        self.ask(self.clients[0].delete(*(keys if what == "both" else keys[:1])))
        self.model.lose(name, what)

    @rule(what=st.sampled_from(["steps", "field", 0, 1, 2, 3, 4, 5]), name=st.just("two"), via=REPLICAS)
    def is_damaged(self, name: str, what: str | int, via: int) -> None:
        """All steps are lost, or one, or a field of the description; of one name alone, so that the other has long lives.

        A replica that had read the episode before then commits its next step.
        """
        client, history, known = self.clients[0], history_key(name), self.model.episodes.get(name)
        if isinstance(what, int):
            self.ask(client.xdel(history, entry_id(what)))
        else:
            self.ask(client.delete(history) if what == "steps" else client.hdel(episode_key(name), "history"))
        self.model.lose(name, what)
        if known:
            self.checked_commit(next_commit(known), via)

    @rule(via=REPLICAS)
    def redis_and_a_replica_start_anew(self, via: int) -> None:
        """Redis knows no scripts, and the replica has no connection."""
        self.ask(self.clients[0].script_flush())
        self.ask(self.clients[via].connection_pool.disconnect())

    @rule(state=states, back=st.integers(0, 3), via=REPLICAS)
    def words_for_a_rebuild(self, state: EpisodeState, back: int, via: int) -> None:
        if step := state.committed + 1:
            asked: dict[str, Any] = {"step": step, "steps": max(1, step - back), "digest": state.history_digest}
            answer = self.ask(HistoryReader(self.clients[via]).last_words(state.episode_id, **asked))
            assert answer == self.model.last_words(state.episode_id, **asked)

    @rule(target=states, name=NAMES, step=st.integers(0, 8), limit=st.integers(1, 3), via=REPLICAS)
    def read(self, name: str, step: int, limit: int, via: int) -> EpisodeState:
        store, model = self.stores[via], self.model
        one = model.look(name, range(step, step + 1))
        expected = one if isinstance(one, str) else (one[0], one[1][0][1] if one[1] else None)
        assert self.ask(store.read(name, step)) == expected
        assert self.ask(store.read_all([(name, step)])) == [expected]
        assert self.ask(store.steps(name, first=step, limit=limit)) == model.look(name, range(step, 2**53), limit)
        assert self.ask(store.lately_deleted(name)) == (name in model.deleted)
        known = model.episodes.get(name)
        return known or self.begin(name)

    @invariant()
    def redis_holds_what_the_model_holds(self) -> None:
        for name, store in zip(("one", "two"), self.stores, strict=True):
            assert self.ask(store.steps(name, first=0, limit=100)) == self.model.look(name, range(100))
        cursor, found = self.ask(self.stores[0].page(0, 100))
        assert cursor == 0
        assert sorted(map(str, found)) == sorted(str(self.model.state(name)) for name in self.model.episodes)


async def together(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


def test_every_outcome_is_that_of_the_model(redis_url: str, loop: asyncio.AbstractEventLoop) -> None:
    clients = [connect_redis(redis_url, timeout=5) for _ in range(2)]
    for client in clients:
        client.connection_pool.connection_class = Losing
    # A function that makes the machine is as good as its class, says hypothesis's documentation.
    few = settings(max_examples=90, stateful_step_count=35, deadline=None, derandomize=True, report_multiple_bugs=False)
    seen: set[str] = set()
    try:
        run_state_machine_as_test(lambda: StoreMachine(loop, clients, seen), settings=few)  # type: ignore[arg-type]
    finally:
        for client in clients:
            loop.run_until_complete(client.aclose())
    assert seen == REFUSED | {"Committed", "AlreadyCommitted", "EPISODE_DAMAGED"}, "every outcome of a commit was met"
