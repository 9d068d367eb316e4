"""The panels of Grafana's dashboards as data, for dashboards.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Panel:
    """One panel. queries: (PromQL, legend). red: the value from which it is shown in red."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    kind: Literal["timeseries", "stat"] = "timeseries"
    width: int = 8
    description: str = ""
    red: float | None = None


def rate(name: str, labels: str = "", by: str = "") -> str:
    """Returns the PromQL for a rate per second, summed over all labels except those in `by`."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({name}{{{labels}}}[$__rate_interval]))"


def quantile(q: float, name: str, labels: str = "", by: str = "") -> str:
    """Returns the PromQL for a quantile of a histogram over the last minutes."""
    return f"histogram_quantile({q}, {rate(f'{name}_bucket', labels, f'{by}, le' if by else 'le')})"


def mean(name: str, labels: str = "", by: str = "") -> str:
    """Returns the PromQL for the mean of a histogram over the last minutes."""
    return f"{rate(f'{name}_sum', labels, by)} / {rate(f'{name}_count', labels, by)}"


AGENT = 'agent=~"$agent"'
COMMITTED = 'outcome="committed"'
FAILED = 'method=~"/shelm.v1.AgentService/Act.*",code=~"INTERNAL|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED"'

ACTS = "shelm_act_seconds_count"
REPLAYED = f'{AGENT},outcome="replayed"'
GIVEN_UP = rate(ACTS, 'outcome="cancelled"')
HITS = rate("shelm_retrieval_cache_hits_total", AGENT, "agent")

OVERVIEW = [
    Panel("Services that are not ready", "short", [("count(shelm_ready == 0) or vector(0)", "")], "stat", 4, red=1),
    Panel("Acts", "reqps", [(rate(ACTS), "")], "stat", 4),
    Panel(
        "Acts that fail",
        "percentunit",
        [(f"(({rate('shelm_refusals_total', FAILED)} or vector(0)) + ({GIVEN_UP} or vector(0))) / {rate(ACTS)}", "")],
        "stat",
        4,
        "Through no fault of the client; those that clients gave up included.",
        red=0.01,
    ),
    Panel("Act p99", "s", [(quantile(0.99, "shelm_act_seconds", COMMITTED), "")], "stat", 4, red=0.5),
    Panel("Acts under way", "short", [("sum(shelm_acts_in_flight)", "")], "stat", 4),
    Panel("Commit p99", "s", [(quantile(0.99, "shelm_stage_seconds", 'stage="commit"'), "")], "stat", 4, red=0.1),
    Panel("Acts by outcome", "reqps", [(rate(ACTS, by="outcome"), "{{outcome}}")]),
    Panel("Errors by reason", "reqps", [(rate("shelm_refusals_total", by="reason"), "{{reason}}")]),
    Panel(
        "Act",
        "s",
        [(quantile(q, "shelm_act_seconds", COMMITTED), f"p{round(q * 100)}") for q in (0.5, 0.9, 0.99)],
        description="Committed Acts, inside the policy service.",
    ),
    Panel("Stages of an Act, p99", "s", [(quantile(0.99, "shelm_stage_seconds", by="stage"), "{{stage}}")]),
    Panel(
        "Waiting in queues, p99",
        "s",
        [(quantile(0.99, "shelm_queue_seconds", by="queue"), "{{queue}}")],
        description="Apart from computing: a queue that is slow while its runs are not needs more replicas.",
    ),
    Panel("Runs, p99", "s", [(quantile(0.99, "shelm_run_seconds", by="queue"), "{{queue}}")]),
    Panel("Readiness", "short", [("shelm_ready", "{{service}} {{instance}}")]),
    Panel("CPU", "short", [('rate(process_cpu_seconds_total{job=~"shelm.*"}[$__rate_interval])', "{{job}} {{instance}}")]),
    Panel("Memory", "bytes", [('process_resident_memory_bytes{job=~"shelm.*"}', "{{job}} {{instance}}")]),
]

AGENTS = [
    Panel("Acts by agent", "reqps", [(rate(ACTS, AGENT, "agent"), "{{agent}}")], width=12),
    Panel(
        "Acts by bundle",
        "reqps",
        [(rate(ACTS, AGENT, "agent, digest"), "{{agent}} {{digest}}")],
        width=12,
        description="While a new bundle is rolled out, old episodes stay with the old one.",
    ),
    Panel(
        "Act p99",
        "s",
        [(quantile(0.99, "shelm_act_seconds", f"{AGENT},{COMMITTED}", "agent, digest"), "{{agent}} {{digest}}")],
    ),
    Panel(
        "Stages, mean",
        "s",
        [(mean("shelm_stage_seconds", AGENT, "agent, stage"), "{{agent}} {{stage}}")],
    ),
    Panel(
        "Replayed",
        "percentunit",
        [(f"{rate(ACTS, REPLAYED, 'agent')} / {rate(ACTS, AGENT, 'agent')}", "{{agent}}")],
        description="Answered from what was committed: clients that repeat their calls.",
    ),
    Panel(
        "Window fill",
        "percentunit",
        [(quantile(q, "shelm_window_fill_ratio", AGENT, "agent"), f"{{{{agent}}}} p{round(q * 100)}") for q in (0.5, 0.9)],
        description="Words of an episode per place in the window; above 100 % the oldest are out of reach.",
    ),
    Panel("Episodes begun", "reqps", [(rate("shelm_episodes_begun_total", AGENT, "agent"), "{{agent}}")]),
    Panel("Episodes ended", "reqps", [(rate("shelm_episodes_ended_total", AGENT, "agent"), "{{agent}}")]),
    Panel(
        "Similarity of the first word, mean",
        "short",
        [(mean("shelm_word_similarity", AGENT, "agent"), "{{agent}}")],
        description="If it falls, the agent sees pictures that its CLIP does not know.",
    ),
    Panel(
        "Surprise of the actions, mean",
        "short",
        [(mean("shelm_action_surprise_nats", AGENT, "agent"), "{{agent}}")],
        description="In nats; of sampled actions it is the entropy.",
    ),
    Panel(
        "Reward of an episode, median",
        "short",
        [(quantile(0.5, "shelm_episode_reward", AGENT, "agent"), "{{agent}}")],
        description="Of the episodes whose client told it; between the bounds of its buckets.",
    ),
]

MEMORY = [
    Panel(
        "Memory slots in use",
        "percentunit",
        [(f"shelm_memory_slots_used{{{AGENT}}} / shelm_memory_slots{{{AGENT}}}", "{{agent}} {{instance}}")],
        description="Full is normal; full with evictions is too few.",
    ),
    Panel(
        "Steps by what the slot held",
        "reqps",
        [
            (rate("shelm_memory_hits_total", AGENT), "its history"),
            (rate("shelm_memory_repeats_total", AGENT), "the step itself"),
            (rate("shelm_memory_rebuilds_total", AGENT), "neither: rebuilt"),
        ],
    ),
    Panel("Evictions", "reqps", [(rate("shelm_memory_evictions_total", AGENT, "agent"), "{{agent}}")]),
    Panel(
        "Rebuilds",
        "s",
        [(quantile(q, "shelm_run_seconds", 'queue="memory rebuild"'), f"p{round(q * 100)}") for q in (0.5, 0.99)],
        description="One rebuild and the step after it. In Triton they are part of the queue `memory`.",
    ),
    Panel(
        "Memory: waiting and computing, p99",
        "s",
        [
            (quantile(0.99, "shelm_queue_seconds", 'queue="memory"'), "waiting"),
            (quantile(0.99, "shelm_run_seconds", 'queue="memory"'), "computing"),
        ],
    ),
    Panel(
        "Retrieval: waiting and computing, p99",
        "s",
        [
            (quantile(0.99, "shelm_queue_seconds", 'queue="retrieval"'), "waiting"),
            (quantile(0.99, "shelm_run_seconds", 'queue="retrieval"'), "computing"),
        ],
    ),
    Panel(
        "Items in one run, mean",
        "short",
        [(mean("shelm_batch_size", by="queue"), "{{queue}}")],
    ),
    Panel(
        "Frames whose words were cached",
        "percentunit",
        [(f"{HITS} / ({HITS} + {rate('shelm_retrieval_cache_misses_total', AGENT, 'agent')})", "{{agent}}")],
    ),
    Panel("Watchers", "short", [("sum(shelm_watchers)", "WatchMemory")]),
    Panel(
        "Redis memory",
        "bytes",
        [("max(shelm_store_used_bytes)", "used"), ("max(shelm_store_limit_bytes)", "limit")],
        description="Near the limit no episode may begin.",
    ),
    Panel(
        "Episodes archived",
        "reqps",
        [(rate("shelm_episodes_archived_total", by="outcome"), "{{outcome}}")],
        description="The sum of shelm_archive_waiting says how many wait.",
    ),
    Panel("Frames recorded", "reqps", [(rate("shelm_frames_recorded_total", by="outcome"), "{{outcome}}")]),
]
