"""Policy's own metrics: Acts by agent and outcome, their stages, how full the windows are, episodes and watchers.

Contract: an Act is counted once, when it ends, whether it came alone, in a batch or in a stream. outcome: committed;
replayed (the stored answer); refused (an error); cancelled (the caller went away or its deadline passed). The agent of an
Act that got no answer is left empty.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram
from shelm.v1 import agent_pb2

from services.domain.labels import agent_labels
from services.runtime import traces
from services.runtime.errors import ServiceError
from services.runtime.telemetry import FAULTS, SECONDS

_AGENT = ["agent", "digest"]
_STAGES = ("decode", "retrieval", "memory", "policy", "commit")
_FILL = (0.1, 0.25, 0.5, 0.75, 1, 2, 5, 10)

ACTS = Histogram("shelm_act_seconds", "Time of one Act, by how it ended", [*_AGENT, "outcome"], buckets=SECONDS)
STAGES = Histogram("shelm_stage_seconds", "Time of one stage of a committed Act", [*_AGENT, "stage"], buckets=SECONDS)
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
    """One Act under way, as the metrics will see it."""

    agent: tuple[str, str] = ("", "")
    outcome: str = "refused"

    def answered(self, name: str, response: agent_pb2.ActResponse) -> None:
        """The Act has an answer. name: of the agent."""
        self.agent = agent_labels(name, response.agent_digest)
        self.outcome = "replayed" if response.replayed else "committed"
        rebuilt = response.memory.rebuilt
        traces.note(**{"shelm.agent": name, "shelm.outcome": self.outcome, "shelm.rebuilt": rebuilt})
        if not response.replayed:
            self._committed(response)

    def _committed(self, response: agent_pb2.ActResponse) -> None:
        for stage in _STAGES:
            STAGES.labels(*self.agent, stage).observe(getattr(response.timing, f"{stage}_us") / 1e6)
        WINDOW_FILL.labels(*self.agent).observe(response.memory.length / response.memory.window)
        if response.step == 0:
            BEGUN.labels(*self.agent).inc()


@contextmanager
def acting() -> Iterator[Act]:
    """Around one Act."""
    started, act = time.monotonic(), Act()
    IN_FLIGHT.inc()
    try:
        yield act
    except ServiceError as error:
        traces.fail(error.reason, fault=error.code in FAULTS)
        raise
    except Exception:
        traces.fail("INTERNAL", fault=True)
        raise
    except BaseException:  # asyncio's cancellation
        act.outcome = "cancelled"
        raise
    finally:
        IN_FLIGHT.dec()
        ACTS.labels(*act.agent, act.outcome).observe(time.monotonic() - started)
