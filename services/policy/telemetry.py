"""Policy's own metrics: Acts by agent and outcome, their stages, how full the windows are, episodes and watchers,
and how the agents fare: similarity of the words, surprise of the actions, rewards.

Contract: every Act is counted once, when it ends, whether it came alone, in a batch or in a stream. outcome: committed;
replayed (the stored answer was returned); refused (an error was returned); cancelled (the caller disconnected or its
deadline passed). The label of the agent is empty if the Act failed.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import Counter, Gauge, Histogram

from services.protocol.agent_api import STAGES
from services.protocol.values import ActAnswer, ActCall
from services.runtime.errors import ServiceError
from services.runtime.telemetry import FAULTS, SECONDS, agent_labels

if TYPE_CHECKING:
    from services.runtime.open_telemetry import Tracer

_AGENT = ["agent", "digest"]
_FILL = (0.1, 0.25, 0.5, 0.75, 1, 2, 5, 10)
_SIMILARITY = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
_NATS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)
_REWARD = (-100, -10, -1, 0, 0.1, 0.25, 0.5, 0.75, 0.9, 1, 2, 5, 10, 100, 1000)

ACTS = Histogram("shelm_act_seconds", "Time of one Act, by how it ended", [*_AGENT, "outcome"], buckets=SECONDS)
STAGE_SECONDS = Histogram("shelm_stage_seconds", "Time of one stage of a committed Act", [*_AGENT, "stage"], buckets=SECONDS)
WINDOW_FILL = Histogram(
    "shelm_window_fill_ratio",
    "Words of the episode per place in the window, at each committed step; above 1 the oldest are out of reach",
    _AGENT,
    buckets=_FILL,
)
SIMILARITY = Histogram(
    "shelm_word_similarity",
    "Cosine similarity of the first word of each committed step, at least 0; low: pictures that the agent does not know",
    _AGENT,
    buckets=_SIMILARITY,
)
SURPRISE = Histogram(
    "shelm_action_surprise_nats",
    "Minus the log-probability of each committed action, at least 0; the mean over sampled actions is their entropy",
    _AGENT,
    buckets=_NATS,
)
REWARD = Histogram(
    "shelm_episode_reward", "Total reward of each episode that ended, if its client told it", _AGENT, buckets=_REWARD
)
IN_FLIGHT = Gauge("shelm_acts_in_flight", "Acts under way")
WATCHERS = Gauge("shelm_watchers", "WatchMemory calls that are connected")
BEGUN = Counter("shelm_episodes_begun_total", "Episodes whose first step was committed", _AGENT)
ENDED = Counter("shelm_episodes_ended_total", "Episodes that their client ended", _AGENT)


@dataclass
class Act:
    """What metrics and traces record of one Act."""

    call: ActCall | None = None
    agent: tuple[str, str] = ("", "")
    outcome: str = "refused"
    rebuilt: bool = False

    def answered(self, answer: ActAnswer) -> None:
        """Records the answer of the Act."""
        self.agent = agent_labels(answer.state.agent, answer.state.agent_digest)
        self.rebuilt = answer.rebuilt
        self.outcome = "replayed" if answer.replayed else "committed"
        if answer.times is None:
            return
        metrics = _of_agent(self.agent)
        for stage, seconds in metrics.stages.items():
            seconds.observe(answer.times.stages.get(stage, 0.0))
        if answer.record.words:
            metrics.fill.observe(answer.length / answer.window)
            metrics.similarity.observe(max(0.0, answer.record.words[0].similarity))
        metrics.surprise.observe(max(0.0, -answer.record.log_prob))
        if answer.step == 0:
            BEGUN.labels(*self.agent).inc()


class _OfAgent(NamedTuple):
    """What a committed step is measured by, with the labels of an agent. stages: by name."""

    stages: dict[str, Histogram]
    fill: Histogram
    similarity: Histogram
    surprise: Histogram


@cache  # the agents are those that are loaded
def _of_agent(agent: tuple[str, str]) -> _OfAgent:
    stages = {stage: STAGE_SECONDS.labels(*agent, stage) for stage in STAGES}
    return _OfAgent(stages, WINDOW_FILL.labels(*agent), SIMILARITY.labels(*agent), SURPRISE.labels(*agent))


def ended_by_client(agent: tuple[str, str], total_reward: float | None) -> None:
    """Counts an episode that its client has ended."""
    ENDED.labels(*agent).inc()
    if total_reward is not None:
        REWARD.labels(*agent).observe(total_reward)


@contextmanager
def acting() -> Iterator[Act]:
    """Context manager around one Act: counts it and measures its time."""
    with acting_together(1) as (act,):
        yield act


@contextmanager
def acting_together(count: int) -> Iterator[list[Act]]:
    """The same for the Acts of a batch that are one unit of work."""
    started, acts = time.monotonic(), [Act() for _ in range(count)]
    IN_FLIGHT.inc(count)
    try:
        yield acts
    except Exception:
        raise
    except BaseException:  # asyncio's cancellation
        for act in acts:
            act.outcome = "cancelled"
        raise
    finally:
        IN_FLIGHT.dec(count)
        for act in acts:
            ACTS.labels(*act.agent, act.outcome).observe(time.monotonic() - started)


@contextmanager
def traced_acting(tracer: "Tracer") -> Iterator[Act]:
    """The same where traces are on: also makes a span with the outcome."""
    with tracer.begin("act", {}), acting() as act:
        try:
            yield act
        except ServiceError as error:
            tracer.fail(error.reason, fault=error.code in FAULTS)
            raise
        except Exception:
            tracer.fail("INTERNAL", fault=True)
            raise
        else:
            tracer.note({"shelm.agent": act.agent[0], "shelm.outcome": act.outcome, "shelm.rebuilt": act.rebuilt})
        finally:
            if act.call:
                tracer.note({"shelm.episode_id": act.call.episode_id, "shelm.step": act.call.step})
