"""Policy's own metrics: Acts by agent and outcome, their stages, how full the windows are, episodes and watchers.

Contract: every Act is counted once, when it ends, whether it came alone, in a batch or in a stream. outcome: committed;
replayed (the stored answer was returned); refused (an error was returned); cancelled (the caller disconnected or its
deadline passed). The label of the agent is empty if the Act failed.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from services.protocol.agent_api import STAGES
from services.protocol.values import ActAnswer, ActCall
from services.runtime.errors import ServiceError
from services.runtime.telemetry import FAULTS, SECONDS, agent_labels

if TYPE_CHECKING:
    from services.runtime.open_telemetry import Tracer

_AGENT = ["agent", "digest"]
_FILL = (0.1, 0.25, 0.5, 0.75, 1, 2, 5, 10)

ACTS = Histogram("shelm_act_seconds", "Time of one Act, by how it ended", [*_AGENT, "outcome"], buckets=SECONDS)
STAGE_SECONDS = Histogram("shelm_stage_seconds", "Time of one stage of a committed Act", [*_AGENT, "stage"], buckets=SECONDS)
WINDOW_FILL = Histogram(
    "shelm_window_fill_ratio",
    "Words of the episode per place in the window, at each committed step; above 1 the oldest are out of reach",
    _AGENT,
    buckets=_FILL,
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
        stages, fill = _of_agent(self.agent)
        for stage, seconds in stages.items():
            seconds.observe(answer.times.stages.get(stage, 0.0))
        fill.observe(answer.length / answer.window)
        if answer.step == 0:
            BEGUN.labels(*self.agent).inc()


@cache  # the agents are those that are loaded
def _of_agent(agent: tuple[str, str]) -> tuple[dict[str, Histogram], Histogram]:
    """The stages' metrics by name, and that of the window, with the labels of an agent."""
    return {stage: STAGE_SECONDS.labels(*agent, stage) for stage in STAGES}, WINDOW_FILL.labels(*agent)


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
