"""Traces of the three real processes, received by a real OTLP collector over a socket."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from shelm.v1 import agent_pb2
from support.collector import Collector, Span, collecting
from support.deployment import Deployment, Processes, Standalone
from support.errors import refused
from support.frames import Frame
from support.gateway import Gateway, act_request
from support.scrape import metrics_setting, scrape
from support.waiting import wait_for

ACT = "shelm.v1.AgentService/Act"
RETRIEVE, REMEMBER = "shelm.internal.v1.RetrievalService/Retrieve", "shelm.internal.v1.MemoryService/Remember"
# Every span of an Act with nothing in the way -> its parent; each as service, name and queue.
TREE: dict[tuple[str, str, str], tuple[str, str, str]] = {
    ("policy", "act", ""): ("policy", ACT, ""),
    ("policy", "turn", ""): ("policy", "act", ""),
    ("policy", "decode", ""): ("policy", "act", ""),
    ("policy", "retrieval", ""): ("policy", "act", ""),
    ("policy", "memory", ""): ("policy", "act", ""),
    ("policy", "policy", ""): ("policy", "act", ""),
    ("policy", "commit", ""): ("policy", "act", ""),
    ("policy", "queue", "policy encode"): ("policy", "act", ""),
    ("policy", "run", "policy encode"): ("policy", "act", ""),
    ("policy", "queue", "policy decide"): ("policy", "policy", ""),
    ("policy", "run", "policy decide"): ("policy", "policy", ""),
    ("policy", "queue", "retrieval call"): ("policy", "retrieval", ""),
    ("policy", RETRIEVE, "retrieval call"): ("policy", "retrieval", ""),
    ("retrieval", RETRIEVE, ""): ("policy", RETRIEVE, "retrieval call"),
    ("retrieval", "queue", "retrieval"): ("retrieval", RETRIEVE, ""),
    ("retrieval", "run", "retrieval"): ("retrieval", RETRIEVE, ""),
    ("policy", "queue", "memory call"): ("policy", "memory", ""),
    ("policy", REMEMBER, "memory call"): ("policy", "memory", ""),
    ("memory", REMEMBER, ""): ("policy", REMEMBER, "memory call"),
    ("memory", "queue", "memory"): ("memory", REMEMBER, ""),
    ("memory", "run", "memory"): ("memory", REMEMBER, ""),
}
# The same where retrieval and memory are in the process: no calls, and the queues are below the stages.
INSIDE = {span: above for span, above in TREE.items() if span[0] == "policy" and "call" not in span[2]} | {
    ("policy", kind, stage): ("policy", stage, "") for stage in ("retrieval", "memory") for kind in ("queue", "run")
}
NEVER_SAMPLED = {
    "SHELM_TRACES_RATIO": "0",
    "SHELM_LOG_FORMAT": "json",
    "SHELM_LOG_LEVEL": "DEBUG",
    "SHELM_SLOTS": "2",
    "SHELM_POLICY_CACHE_FRAMES": "0",  # every Act goes the whole way
}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Deployment]:
    """Three processes that trace what a client asks them to trace."""
    settings = {**NEVER_SAMPLED, "SHELM_TRACES": collector.target, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with Processes(tmp_path_factory.mktemp("traced"), settings).running() as running:
        yield running


def parent(*, sampled: bool = True) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A trace of the client's: its id, and the metadata that says so."""
    trace_id = secrets.token_hex(16)
    return trace_id, (("traceparent", f"00-{trace_id}-{secrets.token_hex(8)}-{int(sampled):02}"),)


def act(gateway: Gateway, episode: str, step: int, frame: Frame, metadata: Any) -> Any:
    return gateway.stub.Act(act_request(episode, step, frame), timeout=30, metadata=metadata)


def place(span: Span) -> tuple[str, str, str]:
    return span.service, span.name, span.queue


def check_tree(spans: list[Span], tree: dict[tuple[str, str, str], tuple[str, str, str]], *, service: str = "") -> None:
    """Exactly these spans, each below its parent and inside its time. service: taken as the service of all spans."""
    spans = [replace(span, service=service) for span in spans] if service else spans
    assert sorted(map(place, spans)) == sorted([*tree, ("policy", ACT, "")])
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        if span.name != ACT:
            above = by_id[span.parent_id]
            assert place(above) == tree[place(span)], span
            assert span.inside(above), (span, above)


def test_one_act_is_one_trace_with_every_stage_in_its_place(
    traced: Deployment, collector: Collector, frames: tuple[Frame, ...], name: str
) -> None:
    trace_id, metadata = parent()
    act(traced.gateway, name, 0, frames[0], metadata)
    act(traced.gateway, name, 1, frames[1], metadata=())  # known by now, but nobody asked to see it
    second, metadata = parent()
    act(traced.gateway, name, 2, frames[2], metadata)
    check_tree(collector.wait(second, len(TREE) + 1), TREE)
    first = collector.wait(trace_id, len(TREE) + 2)
    check_tree(first, {**TREE, ("policy", "read", ""): ("policy", "act", "")})  # a new name is looked for in Redis
    (root,) = [span for span in first if span.name == ACT]
    assert (root.kind, root.parent_id) == ("SERVER", metadata_parent(first, root))
    (whole,) = [span for span in first if span.name == "act"]
    assert (whole.attributes["shelm.episode_id"], whole.attributes["shelm.step"]) == (name, 0)
    assert whole.attributes["shelm.outcome"] == "committed"
    assert not [span for span in first if span.error]


def metadata_parent(spans: list[Span], root: Span) -> str:
    """The only parent that no service has sent: the client's own span."""
    known = {span.span_id for span in spans}
    (foreign,) = {span.parent_id for span in spans} - known
    assert foreign == root.parent_id
    return foreign


def test_the_kinds_of_spans_say_where_the_wire_is(
    traced: Deployment, collector: Collector, frames: tuple[Frame, ...], name: str
) -> None:
    trace_id, metadata = parent()
    act(traced.gateway, name, 0, frames[0], metadata)
    kinds = {(span.service, span.name): span.kind for span in collector.wait(trace_id, len(TREE) + 2)}
    wire = {where: kind for where, kind in kinds.items() if kind != "INTERNAL"}
    assert wire == {
        ("policy", ACT): "SERVER",
        ("policy", RETRIEVE): "CLIENT",
        ("retrieval", RETRIEVE): "SERVER",
        ("policy", REMEMBER): "CLIENT",
        ("memory", REMEMBER): "SERVER",
    }


def test_a_rebuild_is_part_of_the_trace_and_of_the_logs(
    traced: Deployment, collector: Collector, frames: tuple[Frame, ...], name: str
) -> None:
    for step in range(3):
        traced.gateway.act(name, step, frames[step])
    for other in range(2):  # both slots go to others
        traced.gateway.act(f"{name}.{other}", 0, frames[0])
    trace_id, metadata = parent()
    assert act(traced.gateway, name, 3, frames[3], metadata).memory.rebuilt
    extra = {
        ("memory", "rebuild", ""): ("memory", REMEMBER, ""),
        ("memory", "read", ""): ("memory", "rebuild", ""),
        ("memory", "queue", "memory rebuild"): ("memory", "rebuild", ""),
        ("memory", "run", "memory rebuild"): ("memory", "rebuild", ""),
    }
    check_tree(collector.wait(trace_id, len(TREE) + 5), {**TREE, **extra})
    (line,) = [one for one in log_lines(traced, "memory") if one.get("trace_id") == trace_id]
    assert (line["episode_id"], line["step"], line["message"]) == (name, 3, "rebuilding from 3 steps")
    (told,) = [one for one in log_lines(traced, "policy") if one.get("trace_id") == trace_id]
    assert (told["episode_id"], told["step"], told["message"]) == (name, 3, "committed")


def log_lines(deployment: Deployment, service: str) -> list[dict[str, Any]]:
    """What our own code has said."""
    told = [json.loads(line) for line in (deployment.folder / f"{service}.log").read_text().splitlines()]
    return [one for one in told if one["logger"].startswith("services.")]


def test_a_refused_act_says_why_in_its_trace(
    traced: Deployment, collector: Collector, frames: tuple[Frame, ...], name: str
) -> None:
    traced.gateway.act(name, 0, frames[0])
    trace_id, metadata = parent()
    assert refused(lambda: act(traced.gateway, name, 5, frames[0], metadata)).reason == "STEP_GAP"
    spans = collector.wait(trace_id, 5)
    assert {span.attributes.get("shelm.reason") for span in spans if span.name in (ACT, "act")} == {"STEP_GAP"}
    assert not [span for span in spans if span.error]  # the caller's mistake is no fault of the server's
    (line,) = [one for one in log_lines(traced, "policy") if one.get("trace_id") == trace_id]
    assert "STEP_GAP" in line["message"]
    assert line["span_id"] in {span.span_id for span in spans if span.name == ACT}


def test_what_nobody_asked_to_see_is_not_sampled(
    traced: Deployment, collector: Collector, frames: tuple[Frame, ...], name: str
) -> None:
    unsampled, metadata = parent(sampled=False)
    act(traced.gateway, name, 0, frames[0], metadata)
    traced.gateway.act(name, 1, frames[1])
    last, metadata = parent()
    act(traced.gateway, name, 2, frames[2], metadata)
    collector.wait(last, len(TREE) + 1)  # spans are sent in the order in which they end
    assert collector.trace(unsampled) == []
    episodes = [span for span in collector.spans if span.attributes.get("shelm.episode_id") == name]
    assert {span.trace_id for span in episodes} == {last}


def test_acts_that_share_a_batch_keep_their_own_traces(
    traced: Deployment, collector: Collector, frames: tuple[Frame, ...], name: str
) -> None:
    traces = []
    for step in range(4):
        own = [parent(sampled=i != 1) for i in range(4)]
        calls = [
            traced.gateway.stub.Act.future(act_request(f"{name}.{i}", step, frames[step]), timeout=30, metadata=metadata)
            for i, (_, metadata) in enumerate(own)
        ]
        for call in calls:
            call.result()
        traces += own
    sampled = [one for i, (one, _) in enumerate(traces) if i % 4 != 1]
    for trace_id in sampled:
        wait_for("the whole trace", partial(has_all, collector, trace_id))
    for trace_id in sampled:
        spans = collector.trace(trace_id)
        episodes = {span.attributes["shelm.episode_id"] for span in spans if span.name == "act"}
        assert len(episodes) == 1
        assert len([span for span in spans if place(span) == ("memory", REMEMBER, "")]) == 1
    runs = [span for one in sampled for span in collector.trace(one) if "shelm.batch_size" in span.attributes]
    assert max(span.attributes["shelm.batch_size"] for span in runs) > 1  # some did share
    assert not [one for i, (one, _) in enumerate(traces) if i % 4 == 1 and collector.trace(one)]


def has_all(collector: Collector, trace_id: str) -> bool:
    return set(TREE) <= set(map(place, collector.trace(trace_id)))


def test_an_act_of_a_stream_is_a_trace_of_the_clients(
    traced: Deployment, collector: Collector, frames: tuple[Frame, ...], name: str
) -> None:
    trace_id, metadata = parent()
    requests = [agent_pb2.ActStreamRequest(request=act_request(name, step, frames[step])) for step in range(2)]
    assert len(list(traced.gateway.stub.ActStream(iter(requests), timeout=30, metadata=metadata))) == 2
    wait_for("both Acts", lambda: len([span for span in collector.trace(trace_id) if span.name == "act"]) == 2)
    acts = [span for span in collector.trace(trace_id) if span.name == "act"]
    assert {span.attributes["shelm.step"] for span in acts} == {0, 1}


@pytest.mark.parametrize("traceparent", ["", "00-zz-zz-01", "x" * 1000])
def test_a_traceparent_that_says_nothing_is_ignored(
    traced: Deployment, frames: tuple[Frame, ...], name: str, traceparent: str
) -> None:
    metadata = (("traceparent", traceparent), ("shelm-traceparents", "0=garbage,99999999999999999999=1,-1=,=,"))
    assert act(traced.gateway, name, 0, frames[0], metadata).committed_step == 0


@pytest.mark.usefixtures("_no_settings")
def test_one_process_tells_the_same_without_the_wire(tmp_path: Path, frames: tuple[Frame, ...], name: str) -> None:
    metrics = metrics_setting()
    with collecting() as collector:
        settings = {"SHELM_TRACES": collector.target, "SHELM_METRICS_LISTEN": metrics, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with Standalone(tmp_path, settings).running() as running:
            trace_id, metadata = parent()
            act(running.gateway, name, 0, frames[0], metadata)
            collector.wait(trace_id, len(INSIDE) + 2)
            said = scrape(metrics)
    check_tree(collector.trace(trace_id), {**INSIDE, ("policy", "read", ""): ("policy", "act", "")}, service="policy")
    assert said.value("shelm_act_seconds_count", outcome="committed") == 1
    assert said.value("shelm_memory_slots_used") == said.value("shelm_retrieval_cache_misses_total") == 1


@pytest.mark.usefixtures("_no_settings")
def test_a_ratio_of_one_samples_what_begins_here_and_a_collector_that_is_away_changes_nothing(
    tmp_path: Path, frames: tuple[Frame, ...], name: str
) -> None:
    with collecting() as collector:
        settings = {
            "SHELM_TRACES": f"http://{collector.target}",
            "SHELM_TRACES_RATIO": "1",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_BSP_MAX_QUEUE_SIZE": "64",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "32",
        }
        deployment = Processes(tmp_path, settings)
        with deployment.running() as running:
            running.gateway.act(name, 0, frames[0])
            wait_for("a trace", lambda: [one for one in collector.by_trace() if has_all(collector, one)])
            with grpc.insecure_channel(collector.target) as channel:
                grpc.channel_ready_future(channel).result(30)
            collector.spans.clear()
            _gone(collector)
            for step in range(1, 12):  # more spans than may wait
                assert running.gateway.act(name, step, frames[step]).committed_step == step
            running.gateway.end(name)
        logs = deployment.logs(200)
    assert "Traceback" not in logs
    assert "policy stops" in logs


def _gone(collector: Collector) -> None:
    """From now on the collector answers nothing but errors, as one does that is being replaced."""

    def export(request: Any, context: Any) -> None:
        context.abort(grpc.StatusCode.UNAVAILABLE, "away")

    collector.Export = export  # type: ignore[method-assign]
