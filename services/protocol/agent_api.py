"""Requests of the public contract -> typed values, and answers -> its messages: the boundary of AgentService.

Failure policy: INVALID_ARGUMENT with the field, what was expected and what came.
"""

import time
from collections.abc import Sequence

from shelm.v1 import agent_pb2

from agent.bundle import AgentManifest, Manifest, WordlessManifest
from services.protocol.actions import action_message, action_space_message, distribution_message
from services.protocol.branches import branch_message
from services.protocol.fields import check_page_size, check_step
from services.protocol.image import read_image
from services.protocol.names import caller_name, full_name
from services.protocol.steps import timestamp, token_messages
from services.protocol.values import (
    ActAnswer,
    ActCall,
    CommittedStep,
    Decision,
    EpisodeState,
    ExplainCall,
    Explanation,
    Influence,
    RecordedFrame,
)
from services.runtime.errors import invalid

STAGES = ("decode", "retrieval", "memory", "policy", "commit")  # of an Act, as clients and metrics see them
EXPLAINED_STEPS = 64  # where the caller names no number


def parse_act(request: agent_pb2.ActRequest) -> ActCall:
    """The request of one Act. Its frame is decoded later, when the agent and so its frame size are known."""
    name = full_name(request.episode_id)
    check_step(request.step)
    if not request.HasField("observation"):
        raise invalid("observation", "expected an image, got none")
    return ActCall(
        name,
        request.step,
        read_image(request.observation),
        request.agent,
        request.deterministic if request.HasField("deterministic") else None,
        request.distribution,
    )


def parse_explain(request: agent_pb2.ExplainStepRequest) -> ExplainCall:
    """The request of one ExplainStep."""
    return ExplainCall(
        full_name(request.episode_id),
        check_step(request.step),
        check_page_size(request.max_steps, "max_steps", EXPLAINED_STEPS),
        read_image(request.observation) if request.HasField("observation") else None,
    )


def act_message(answer: ActAnswer) -> agent_pb2.ActResponse:
    """The reply to an Act."""
    record = answer.record
    return agent_pb2.ActResponse(
        episode_id=caller_name(answer.state.episode_id),
        step=answer.step,
        action=action_message(record.action),
        committed_step=answer.state.committed,
        replayed=answer.replayed,
        tokens=token_messages(record.words),
        value=record.value,
        log_prob=record.log_prob,
        memory=agent_pb2.Memory(length=answer.length, window=answer.window, rebuilt=answer.rebuilt),
        agent_digest=answer.state.agent_digest,
        timing=_timing_message(answer),
        distribution=distribution_message(answer.distribution) if answer.distribution else None,
    )


def _timing_message(answer: ActAnswer) -> agent_pb2.Timing | None:
    if answer.times is None:
        return None
    stages = {f"{name}_us": int(answer.times.stages.get(name, 0.0) * 1e6) for name in STAGES}
    return agent_pb2.Timing(total_us=int(answer.times.total * 1e6), **stages)


def memory_step_message(state: EpisodeState, step: int, record: CommittedStep, *, window: int) -> agent_pb2.MemoryStep:
    """One step of a memory; the length of the episode in `state` decides whether its words are still in the window."""
    newest = state.words_up_to(step, len(record.words)) - 1  # position of the step's last word
    return agent_pb2.MemoryStep(
        step=step,
        tokens=token_messages(record.words),
        action=action_message(record.action),
        in_window=bool(record.words) and newest > state.length - window,
        time=timestamp(record.time_us),
        value=record.value,
    )


def episode_message(state: EpisodeState) -> agent_pb2.Episode:
    """The message of an episode."""
    return agent_pb2.Episode(
        episode_id=caller_name(state.episode_id),
        agent=state.agent,
        agent_digest=state.agent_digest,
        seed=state.seed,
        deterministic=state.deterministic,
        committed_step=state.committed if state.committed >= 0 else None,
        ended=state.ended,
        create_time=timestamp(state.created_us),
        update_time=timestamp(state.updated_us),
        expire_time=timestamp(time.time_ns() // 1000 + state.ttl_ms * 1000) if state.ttl_ms else None,
        memory_length=state.length,
        total_reward=state.total_reward,
        incarnation=state.incarnation,
        archived=state.archived,
        branch=branch_message(state.branch) if state.branch else None,
    )


def agent_message(manifest: Manifest, *, vocabulary_size: int, default: bool) -> agent_pb2.Agent:
    """The message of an agent."""
    words = manifest if isinstance(manifest, AgentManifest) else None
    return agent_pb2.Agent(
        name=manifest.name,
        digest=manifest.digest,
        description=manifest.description,
        observation=_observation_message(manifest),
        action_space=action_space_message(manifest.actions),
        window=words.memory.window if words else 0,
        tokens_per_step=words.retrieval.k if words else 0,
        vocabulary_size=vocabulary_size,
        environments=manifest.environments,
        default=default,
    )


def details_message(manifest: Manifest, *, card: str, vocabulary: Sequence[str]) -> agent_pb2.AgentDetails:
    """The message of what a person may want to know of an agent."""
    details = agent_pb2.AgentDetails(card=card, vocabulary=vocabulary)
    if isinstance(manifest, AgentManifest):
        model = manifest.memory
        details.language_model.MergeFrom(
            agent_pb2.LanguageModel(kind=model.kind, source=model.source, layers=model.layers, dimension=model.dimension)
        )
    return details


def _observation_message(manifest: Manifest) -> agent_pb2.ObservationSpec:
    size = manifest.observation
    spec = agent_pb2.ObservationSpec(height=size.height, width=size.width)
    if isinstance(manifest, WordlessManifest):
        spec.channels, spec.stacked = manifest.observation.channels, manifest.observation.stack
    return spec


def explanation_message(explanation: Explanation) -> agent_pb2.ExplainStepResponse:
    """The reply to an ExplainStep."""
    return agent_pb2.ExplainStepResponse(
        step=explanation.step,
        action=action_message(explanation.action),
        decision=_decision_message(explanation.decision),
        words=[_influence_message(one) for one in explanation.by_word],
        steps=[_influence_message(one) for one in explanation.by_step],
        reach_from_step=explanation.reach_from_step,
    )


def _decision_message(decision: Decision) -> agent_pb2.Decision:
    most_probable = action_message(decision.most_probable)
    return agent_pb2.Decision(probabilities=decision.probabilities, most_probable=most_probable, value=decision.value)


def _influence_message(influence: Influence) -> agent_pb2.Influence:
    return agent_pb2.Influence(
        tokens=token_messages(influence.words),
        steps=influence.steps,
        change=influence.change,
        without=_decision_message(influence.without),
    )


def frame_message(frame: RecordedFrame) -> agent_pb2.GetFrameResponse:
    """The reply to a GetFrame."""
    image = agent_pb2.Image(encoding=agent_pb2.ENCODING_PNG, height=frame.height, width=frame.width, data=frame.png)
    return agent_pb2.GetFrameResponse(frame=image)
