"""The metrics of the three real processes say what was done; alerts and dashboards ask for nothing else."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from support.deployment import Processes
from support.errors import refused, refused_item
from support.frames import Frame
from support.gateway import act_request
from support.promql import dashboard_queries, rule_queries, series
from support.scrape import Scrape, metrics_setting, scrape
from support.waiting import wait_for

SERVICES = ("policy", "retrieval", "memory")
METHOD = "/shelm.v1.AgentService/"


class Counted:
    """What the services have counted since this was made."""

    def __init__(self, deployment: Processes) -> None:
        self._addresses = deployment.metrics
        self._before = self.now()

    def now(self) -> dict[str, Scrape]:
        return {name: scrape(self._addresses[name]) for name in SERVICES}

    def __call__(self, service: str, name: str, **labels: str) -> float:
        return scrape(self._addresses[service]).value(name, **labels) - self._before[service].value(name, **labels)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Processes]:
    """Three processes with two memory slots, scraped."""
    folder: Path = tmp_path_factory.mktemp("measured")
    settings = {"SHELM_METRICS_LISTEN": metrics_setting(), "SHELM_SLOTS": "2", "SHELM_RECORD": str(folder / "frames")}
    processes = Processes(folder, settings)
    with processes.running():
        yield processes


@pytest.fixture
def counted(measured: Processes) -> Counted:
    return Counted(measured)


@pytest.fixture
def agent(measured: Processes) -> dict[str, str]:
    """The labels of the agent."""
    described = measured.gateway.agent()
    return {"agent": described.name, "digest": described.digest[:16]}


def test_acts_are_counted_as_what_they_were(
    measured: Processes, counted: Counted, agent: dict[str, str], frames: tuple[Frame, ...], name: str
) -> None:
    for step in range(7):
        measured.gateway.act(name, step, frames[step])
    for step in (3, 6):
        assert measured.gateway.act(name, step, frames[step]).replayed
    assert refused(lambda: measured.gateway.act(name, 9, frames[0])).reason == "STEP_GAP"

    assert counted("policy", "shelm_act_seconds_count", outcome="committed", **agent) == 7
    assert counted("policy", "shelm_act_seconds_count", outcome="replayed", **agent) == 2
    assert counted("policy", "shelm_act_seconds_count", outcome="refused", agent="", digest="") == 1
    assert counted("policy", "shelm_act_seconds_count") == 10
    assert (
        counted("policy", "shelm_refusals_total", method=METHOD + "Act", code="FAILED_PRECONDITION", reason="STEP_GAP") == 1
    )
    assert counted("policy", "shelm_refusals_total") == 1
    assert counted("policy", "shelm_calls_total", method=METHOD + "Act", code="OK") == 9
    assert counted("policy", "shelm_calls_total", method=METHOD + "Act", code="FAILED_PRECONDITION") == 1
    for stage in ("decode", "retrieval", "memory", "policy", "commit"):
        assert counted("policy", "shelm_stage_seconds_count", stage=stage, **agent) == 7
        assert counted("policy", "shelm_stage_seconds_sum", stage=stage, **agent) > 0
    whole = counted("policy", "shelm_act_seconds_sum", outcome="committed")
    assert counted("policy", "shelm_stage_seconds_sum") <= whole
    assert counted("policy", "shelm_acts_in_flight") == 0


def test_queues_count_items_and_runs_apart(
    measured: Processes, counted: Counted, frames: tuple[Frame, ...], name: str
) -> None:
    for step in range(3):
        measured.gateway.act(name, step, frames[20 + step])
    queues = {"policy": ["policy encode", "policy decide", "retrieval call", "memory call"]}
    for service, names in {**queues, "retrieval": ["retrieval"], "memory": ["memory"]}.items():
        for queue in names:
            assert counted(service, "shelm_queue_seconds_count", queue=queue) == 3
            assert counted(service, "shelm_batch_size_sum", queue=queue) == 3
            assert counted(service, "shelm_run_seconds_count", queue=queue) == 3
            assert counted(service, "shelm_run_seconds_sum", queue=queue) > 0


def test_items_of_a_batch_are_counted_one_by_one(
    measured: Processes, counted: Counted, agent: dict[str, str], frames: tuple[Frame, ...], name: str
) -> None:
    requests = [act_request(f"{name}.{i}", 0 if i else 4, frames[0]) for i in range(4)]
    results = measured.gateway.act_batch(requests)
    assert refused_item(results[0]).reason == "EPISODE_NOT_FOUND"
    assert counted("policy", "shelm_act_seconds_count", outcome="committed", **agent) == 3
    assert counted("policy", "shelm_refusals_total", method=METHOD + "ActBatch", reason="EPISODE_NOT_FOUND") == 1
    assert counted("policy", "shelm_calls_total", method=METHOD + "ActBatch", code="OK") == 1
    assert counted("policy", "shelm_episodes_begun_total", **agent) == 3


def test_a_frame_seen_before_is_a_hit(
    measured: Processes, counted: Counted, agent: dict[str, str], frames: tuple[Frame, ...], name: str
) -> None:
    for step, frame in enumerate([frames[40], frames[41], frames[40], frames[40]]):
        measured.gateway.act(name, step, frame)
    assert counted("retrieval", "shelm_retrieval_cache_misses_total", **agent) == 2
    assert counted("policy", "shelm_retrieval_cache_hits_total", **agent) == 2  # policy need not ask
    assert counted("retrieval", "shelm_retrieval_cache_hits_total", **agent) == 0
    assert counted("policy", "shelm_retrieval_cache_misses_total", **agent) == 0  # or they would count twice


def test_slots_evictions_and_rebuilds_are_counted(
    measured: Processes, counted: Counted, agent: dict[str, str], frames: tuple[Frame, ...], name: str
) -> None:
    for other in range(2):  # both slots are these episodes' from now on
        measured.gateway.act(f"{name}.{other}", 0, frames[0])
    before = Counted(measured)
    measured.gateway.act(name, 0, frames[0])
    measured.gateway.act(f"{name}.1", 1, frames[1])  # still there
    assert measured.gateway.act(f"{name}.0", 1, frames[1]).memory.rebuilt  # not there any more

    assert before("memory", "shelm_memory_evictions_total", **agent) == 2
    assert before("memory", "shelm_memory_rebuilds_total", **agent) == 1
    assert before("memory", "shelm_memory_hits_total", **agent) == 2
    assert before("memory", "shelm_run_seconds_count", queue="memory rebuild") == 1
    now = scrape(measured.metrics["memory"])
    assert now.value("shelm_memory_slots", **agent) == now.value("shelm_memory_slots_used", **agent) == 2


def test_the_window_fills_with_the_words(
    measured: Processes, counted: Counted, agent: dict[str, str], frames: tuple[Frame, ...], name: str
) -> None:
    described = measured.gateway.agent()
    for step in range(3):
        measured.gateway.act(name, step, frames[step])
    filled = sum((step + 1) * described.tokens_per_step / described.window for step in range(3))
    assert counted("policy", "shelm_window_fill_ratio_count", **agent) == 3
    assert counted("policy", "shelm_window_fill_ratio_sum", **agent) == pytest.approx(filled)


def test_words_and_actions_say_how_the_agent_fares(
    measured: Processes, counted: Counted, agent: dict[str, str], frames: tuple[Frame, ...], name: str
) -> None:
    answers = [measured.gateway.act(name, step, frames[step]) for step in (0, 1, 2, 2)][:3]
    similarity = sum(answer.tokens[0].similarity for answer in answers)
    assert counted("policy", "shelm_word_similarity_count", **agent) == 3
    assert counted("policy", "shelm_word_similarity_sum", **agent) == pytest.approx(similarity)
    surprise = -sum(answer.log_prob for answer in answers)
    assert counted("policy", "shelm_action_surprise_nats_count", **agent) == 3
    assert counted("policy", "shelm_action_surprise_nats_sum", **agent) == pytest.approx(surprise, abs=1e-6)


def test_an_episode_ends_once_however_often_its_end_is_told(
    measured: Processes, counted: Counted, agent: dict[str, str], frames: tuple[Frame, ...], name: str
) -> None:
    measured.gateway.act(name, 0, frames[0])
    for _ in range(3):
        measured.gateway.end(name, total_reward=0.7)
    assert counted("policy", "shelm_episode_reward_count", **agent) == 1
    assert counted("policy", "shelm_episode_reward_bucket", le="0.5", **agent) == 0
    assert counted("policy", "shelm_episode_reward_bucket", le="0.75", **agent) == 1
    assert counted("policy", "shelm_episodes_begun_total", **agent) == 1
    assert counted("policy", "shelm_episodes_ended_total", **agent) == 1


def test_a_watcher_is_counted_as_long_as_it_is_there(
    measured: Processes, counted: Counted, frames: tuple[Frame, ...], name: str
) -> None:
    measured.gateway.act(name, 0, frames[0])
    watching = measured.gateway.watch(name)
    next(watching)
    assert counted("policy", "shelm_watchers") == 1
    watching.cancel()
    wait_for("it is gone", lambda: counted("policy", "shelm_watchers") == 0)


def test_an_act_that_its_client_gave_up_is_seen(
    measured: Processes, counted: Counted, frames: tuple[Frame, ...], name: str
) -> None:
    measured.gateway.act(name, 0, frames[0])
    with measured.redis_paused():
        with pytest.raises(grpc.RpcError) as caught:
            measured.gateway.act(name, 1, frames[1], seconds=0.7)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        wait_for("it is counted", lambda: counted("policy", "shelm_act_seconds_count", outcome="cancelled") == 1)


def test_a_redis_that_is_away_is_seen(measured: Processes, counted: Counted, frames: tuple[Frame, ...], name: str) -> None:
    measured.gateway.act(name, 0, frames[0])
    address = measured.metrics["policy"]
    assert scrape(address).value("shelm_ready", service="shelm.v1.AgentService") == 1
    with measured.redis_paused():
        assert refused(lambda: measured.gateway.act(name, 1, frames[1])).reason == "STORE_UNAVAILABLE"
        wait_for("it is not ready", lambda: scrape(address).value("shelm_ready") == 0)
    assert counted("policy", "shelm_refusals_total", code="UNAVAILABLE", reason="STORE_UNAVAILABLE") == 1
    wait_for("it is ready", lambda: scrape(address).value("shelm_ready") == 1)


def test_no_label_names_an_episode_or_anything_else_of_a_clients(
    measured: Processes, counted: Counted, frames: tuple[Frame, ...], name: str
) -> None:
    for i in range(3):
        measured.gateway.act(f"{name}.{i}", 0, frames[0])
        refused(lambda i=i: measured.gateway.act(f"{name}.{i}", 1, frames[0], agent=f"agent-{name}"))  # type: ignore[misc]
    known = {"agent", "digest", "outcome", "stage", "queue", "method", "code", "reason", "service", "le"}
    for said in counted.now().values():
        ours = [one for one in said.samples if one.name.startswith("shelm_")]
        assert ours
        assert {label for one in ours for label in one.labels} <= known
        assert not [one for one in ours if name in str(one.labels)]


def test_alerts_and_dashboards_ask_for_what_is_exported(measured: Processes, counted: Counted) -> None:
    exported = {name for said in counted.now().values() for name in said.names}
    asked = {one for query in [*rule_queries().values(), *dashboard_queries().values()] for one in series(query)}
    assert asked - exported == {"up"}  # Prometheus's own
    assert len([one for one in asked if one.startswith("shelm_")]) > 15
