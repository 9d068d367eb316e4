"""`Brancher`: episodes that go on from a step of another one, with other words in their memory.

Contract: a branch holds the retained steps of its source up to the branch point, with the edited words and history digests
to match; the rest of each step is the source's. It is created whole or not at all, in one script at its own keys, so its
source may lie in another slot of a cluster, in the archive, or be deleted afterwards. From then on nothing depends on the
source but the recorded frames of these steps, which stay with it.

Failure policy: every error is a ServiceError with a reason of errors.proto; nothing is created then. A request that is
repeated finds its branch, whatever has become of the source; one with other values is EPISODE_EXISTS.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace

from agent.history import extend_history
from services.policy import errors
from services.policy.admission import Admission
from services.policy.agents import Agents, PolicyAgent
from services.policy.archive.reader import Episodes
from services.policy.explain.edits import edited
from services.protocol.branches import BranchCall
from services.protocol.values import Branch, EpisodeState
from services.runtime.errors import invalid
from services.store.episodes import EpisodeStore, new_episode
from services.store.records import Numbered


class Brancher:
    """retained: steps that are kept per episode."""

    def __init__(
        self, *, agents: Agents, store: EpisodeStore, episodes: Episodes, admission: Admission, retained: int
    ) -> None:
        self._agents, self._store, self._episodes = agents, store, episodes
        self._admission, self._retained = admission, retained

    async def branch(self, call: BranchCall) -> EpisodeState:
        """The branch, new or as it was created before."""
        known, _ = await self._store.read(call.episode_id)
        if known:
            return _same(known, call)
        if refusal := self._admission.refusal(call.episode_id):
            raise refusal
        wanted, steps = await self._made(call)
        state = await self._store.branch(wanted, steps)
        if state.incarnation == wanted.incarnation:
            self._admission.begun(call.episode_id)
        return _same(state, call)

    async def _made(self, call: BranchCall) -> tuple[EpisodeState, list[Numbered]]:
        """The branch and its steps, before they are stored."""
        source, found = await self._episodes.whole(call.source)
        if source is None:
            raise errors.episode_not_found(call.source)
        agent = self._agents.pinned(source.agent_digest)
        if not isinstance(agent, PolicyAgent):
            raise errors.keeps_no_words(call.source, source.agent)
        if call.step > source.committed + 1:
            raise errors.step_not_committed(call.source, call.step - 1, source.committed)
        return await asyncio.to_thread(self._built, call, source, found, agent)  # of thousands of steps it takes long

    def _built(
        self, call: BranchCall, source: EpisodeState, found: Sequence[Numbered], agent: PolicyAgent
    ) -> tuple[EpisodeState, list[Numbered]]:
        past = [(step, record) for step, record in found if step < call.step]
        base, digest = None, new_episode("", agent=source.agent, agent_digest=source.agent_digest).history_digest
        if past and past[0][0] > 0:  # the digest before the oldest step is gone, so what follows the oldest is copied
            base, *past = past
            digest = base[1].history_digest
        first = past[0][0] if past else call.step
        words = edited(
            {step: record.words for step, record in past},
            call.edits,
            agent.rows,
            editable=range(first, call.step),
            field="edits",
        )
        steps = list[Numbered]()
        for step, record in past:
            digest = extend_history(digest, [word.row for word in words[step]])
            steps.append((step, replace(record, words=tuple(words[step]), history_digest=digest)))
        branch = Branch(
            source=call.source,
            source_incarnation=source.incarnation,
            step=call.step,
            edits=call.edits,
            tokens_per_step=agent.k,
            word_counts=_word_counts(source, steps, first, agent.k),
        )
        self._check_reach(call, source, steps, agent, branch)
        state = replace(
            new_episode(call.episode_id, agent=source.agent, agent_digest=source.agent_digest),
            seed=source.seed if call.seed is None else call.seed,
            deterministic=source.deterministic if call.deterministic is None else call.deterministic,
            committed=call.step - 1,
            history_digest=digest,
            length=branch.words_up_to(call.step - 1),
            incarnation=secrets.token_hex(8),
            branch=branch,
        )
        return state, steps

    def _check_reach(
        self, call: BranchCall, source: EpisodeState, steps: Sequence[Numbered], agent: PolicyAgent, branch: Branch
    ) -> None:
        """All words within reach must be there, now and as long as the episode lasts."""
        held, length = sum(len(record.words) for _, record in steps), branch.words_up_to(call.step - 1)
        if held < min(length, agent.reach) or (call.step and not steps):
            raise errors.reach_not_retained(call.source, call.step, steps[0][0] if steps else call.step, source.committed)
        fewer = sum(max(0, agent.k - words) for _, words in branch.word_counts)
        if agent.reach + fewer > self._retained * agent.k:
            most = self._retained * agent.k - agent.reach
            raise invalid("edits", f"expected edits that take away at most {most} words, because of SHELM_RETAINED_STEPS")


def _word_counts(source: EpisodeState, steps: Sequence[Numbered], first: int, k: int) -> tuple[tuple[int, int], ...]:
    """The steps with another number of words than k; those before `first` as the source, if it is a branch, knows them."""
    before = source.branch.word_counts if source.branch else ()
    own = [(step, len(record.words)) for step, record in steps if len(record.words) != k]
    return (*(one for one in before if one[0] < first), *own)


def _same(state: EpisodeState, call: BranchCall) -> EpisodeState:
    """The state, if it is that of the branch that is asked for."""
    branch = state.branch
    for field, stored, asked in (
        ("source_episode_id", branch and branch.source, call.source),
        ("step", branch and branch.step, call.step),
        ("edits", branch and tuple(branch.edits), call.edits),
        ("seed", state.seed, state.seed if call.seed is None else call.seed),
        ("deterministic", state.deterministic, state.deterministic if call.deterministic is None else call.deterministic),
    ):
        if stored != asked:
            raise errors.episode_exists(call.episode_id, field)
    return state
