"""Converts protobuf messages to the dataclasses of `shelm.results`. Pure functions; every well-formed message can be
converted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from shelm.edit_messages import edit_from
from shelm.results import (
    Act,
    Action,
    ActionSpace,
    Agent,
    Branch,
    Comparison,
    Continuous,
    Decision,
    Discrete,
    Distribution,
    EpisodeInfo,
    Explanation,
    FoundEpisode,
    Influence,
    Memory,
    MemoryStep,
    Outcome,
    Part,
    Share,
    Timing,
    Token,
    TransitionOutcome,
    WhatIf,
    WordOutcome,
)
from shelm.v1 import agent_pb2


def act_from(response: agent_pb2.ActResponse) -> Act:
    """Returns the message as an `Act`."""
    return Act(
        episode_id=response.episode_id,
        step=response.step,
        action=_action(response.action),
        tokens=_tokens(response.tokens),
        value=response.value,
        log_prob=response.log_prob,
        committed_step=response.committed_step,
        replayed=response.replayed,
        memory=Memory(response.memory.length, response.memory.window, response.memory.rebuilt),
        agent_digest=response.agent_digest,
        timing=_timing(response.timing) if response.HasField("timing") else None,
        distribution=_distribution(response.distribution) if response.HasField("distribution") else None,
    )


def memory_step_from(step: agent_pb2.MemoryStep) -> MemoryStep:
    """Returns the message as a MemoryStep."""
    return MemoryStep(
        step=step.step,
        tokens=_tokens(step.tokens),
        action=_action(step.action),
        in_window=step.in_window,
        time=_time(step.time) if step.HasField("time") else None,
        value=step.value,
    )


def episode_from(episode: agent_pb2.Episode) -> EpisodeInfo:
    """Returns the message as an EpisodeInfo."""
    return EpisodeInfo(
        episode_id=episode.episode_id,
        agent=episode.agent,
        agent_digest=episode.agent_digest,
        seed=episode.seed,
        deterministic=episode.deterministic,
        committed_step=episode.committed_step if episode.HasField("committed_step") else None,
        ended=episode.ended,
        memory_length=episode.memory_length,
        create_time=_time(episode.create_time) if episode.HasField("create_time") else None,
        update_time=_time(episode.update_time) if episode.HasField("update_time") else None,
        expire_time=_time(episode.expire_time) if episode.HasField("expire_time") else None,
        total_reward=episode.total_reward if episode.HasField("total_reward") else None,
        archived=episode.archived,
        branch=_branch(episode.branch) if episode.HasField("branch") else None,
    )


def found_from(found: agent_pb2.FoundEpisode) -> FoundEpisode:
    """Returns the message as a FoundEpisode."""
    return FoundEpisode(episode_from(found.episode), tuple(found.seen_steps))


def comparison_from(response: agent_pb2.CompareOutcomesResponse) -> Comparison:
    """Returns the message as a Comparison."""
    return Comparison(
        succeeded=response.succeeded,
        failed=response.failed,
        words=[WordOutcome(one.word, _share(one.of_succeeded), _share(one.of_failed)) for one in response.words],
        transitions=[
            TransitionOutcome(one.word, one.next_word, _share(one.of_succeeded), _share(one.of_failed))
            for one in response.transitions
        ],
        partial=response.partial,
    )


def _share(share: agent_pb2.Share) -> Share:
    return Share(share.count, share.total, share.low, share.high)


def _branch(branch: agent_pb2.Branch) -> Branch:
    edits = tuple(edit_from(edit) for edit in branch.edits)
    return Branch(branch.source_episode_id, branch.source_incarnation, branch.step, edits)


def agent_from(agent: agent_pb2.Agent) -> Agent:
    """Returns the message as an Agent."""
    return Agent(
        name=agent.name,
        digest=agent.digest,
        description=agent.description,
        observation_shape=(agent.observation.height, agent.observation.width, 3),
        action_space=_action_space(agent.action_space),
        window=agent.window,
        tokens_per_step=agent.tokens_per_step,
        vocabulary_size=agent.vocabulary_size,
        environments=tuple(agent.environments),
        default=agent.default,
        channels=agent.observation.channels or 3,
        stacked=agent.observation.stacked or 1,
    )


def explanation_from(response: agent_pb2.ExplainStepResponse) -> Explanation:
    """Returns the message as an Explanation."""
    return Explanation(
        step=response.step,
        action=_action(response.action),
        decision=_decision(response.decision),
        words=[_influence(influence) for influence in response.words],
        steps=[_influence(influence) for influence in response.steps],
        reach_from_step=response.reach_from_step,
    )


def what_if_from(response: agent_pb2.WhatIfResponse) -> WhatIf:
    """Returns the message as a WhatIf."""
    return WhatIf(
        step=response.step,
        action=_action(response.action),
        actual=_outcome(response.actual),
        alternatives=[_outcome(one) for one in response.alternatives],
        reach_from_step=response.reach_from_step,
    )


def _outcome(outcome: agent_pb2.Outcome) -> Outcome:
    return Outcome(
        distribution=_distribution(outcome.distribution),
        most_probable=_action(outcome.most_probable),
        value=outcome.value,
        change=outcome.change if outcome.HasField("change") else None,
        words={one.step: _tokens(one.tokens) for one in outcome.words},
    )


def _distribution(distribution: agent_pb2.ActionDistribution) -> Distribution:
    return Distribution(
        entropy=distribution.entropy,
        probabilities=tuple(distribution.probabilities.values),
        mean=tuple(distribution.normal.mean),
        deviation=tuple(distribution.normal.deviation),
        parts={part.name: _distribution(part.distribution) for part in distribution.dict.parts},
    )


def _decision(decision: agent_pb2.Decision) -> Decision:
    return Decision(tuple(decision.probabilities), _action(decision.most_probable), decision.value)


def _influence(influence: agent_pb2.Influence) -> Influence:
    return Influence(
        tokens=_tokens(influence.tokens),
        steps=list(influence.steps),
        change=influence.change,
        without=_decision(influence.without),
    )


def _action(action: agent_pb2.Action) -> Action:
    if action.WhichOneof("kind") == "dict":
        return {part.name: _part(part.action) for part in action.dict.parts}
    return _part(action)


def _part(action: agent_pb2.Action) -> Part:
    if action.WhichOneof("kind") == "continuous":
        return np.array(action.continuous.values, dtype=np.float32)
    return action.discrete


def _action_space(space: agent_pb2.ActionSpace) -> ActionSpace:
    if space.WhichOneof("kind") == "dict":
        return {part.name: _single_space(part.space) for part in space.dict.parts}
    return _single_space(space)


def _single_space(space: agent_pb2.ActionSpace) -> Discrete | Continuous:
    if space.WhichOneof("kind") == "continuous":
        return Continuous(tuple(space.low.values), tuple(space.high.values), tuple(space.names))
    return Discrete(space.discrete, tuple(space.names))


def _tokens(tokens: Iterable[agent_pb2.Token]) -> list[Token]:
    return [Token(token.text, token.similarity, token.id) for token in tokens]


def _timing(timing: agent_pb2.Timing) -> Timing:
    return Timing(
        total_us=timing.total_us,
        decode_us=timing.decode_us,
        retrieval_us=timing.retrieval_us,
        memory_us=timing.memory_us,
        policy_us=timing.policy_us,
        commit_us=timing.commit_us,
    )


def _time(time: Timestamp) -> datetime:
    return time.ToDatetime(tzinfo=timezone.utc)
