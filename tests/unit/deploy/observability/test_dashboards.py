"""Alerts and dashboards: valid for the programs that read them. That their series exist is checked in test_metrics."""

import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from support.process import REPOSITORY
from support.promql import ALERTS, DASHBOARDS, FOLDER, dashboard_queries, rule_queries, rules, series

from deploy.observability import dashboards

COMPONENT = REPOSITORY / "deploy" / "k8s" / "components" / "observability" / "rules.yaml"
# Of Grafana's units (@grafana/data, valueFormats).
UNITS = {"s", "reqps", "percentunit", "short", "bytes"}
PANELS = {f"{path.stem}/{panel['title']}": panel for path in DASHBOARDS for panel in json.loads(path.read_text())["panels"]}


def promtool(*arguments: str) -> str:
    """What Prometheus's own checker says; skipped where it is not installed."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    result = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("place", [*rule_queries(), *dashboard_queries()])
def test_every_query_is_promql(place: str) -> None:
    assert series({**rule_queries(), **dashboard_queries()}[place])


def test_a_mistake_in_a_query_is_found() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        series("sum(rate(shelm_act_seconds_count[5m])")


def test_prometheus_accepts_the_rules_and_the_scrape_configuration() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", ALERTS.name)
    promtool("check", "config", "prometheus.yml")


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yaml")


def test_every_alert_is_tested_both_ways() -> None:
    cases = [
        case
        for test in yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    firing = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert firing == silent == set(rule_queries())


def test_every_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["for"]
        assert re.fullmatch(r"docs/troubleshooting\.md#[a-z-]+", rule["annotations"]["runbook"])
    places = [rule["annotations"]["runbook"] for rule in rules()]
    assert len(set(places)) == len(places)


def test_every_runbook_is_a_heading_of_the_page() -> None:
    page = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
    headings = {
        re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in re.findall(r"^#{2,}\s+(.+?)\s*$", page, re.M)
    }
    headings |= set(re.findall(r"\{\s*#([a-z-]+)\s*\}", page)) | set(re.findall(r"<a (?:id|name)=\"([a-z-]+)\"", page))
    if not headings:
        pytest.skip("docs/troubleshooting.md has no sections yet")
    assert {rule["annotations"]["runbook"].partition("#")[2] for rule in rules()} <= headings


def test_kubernetes_gets_the_same_rules() -> None:
    assert yaml.safe_load(COMPONENT.read_text())["spec"] == yaml.safe_load(ALERTS.read_text())


def test_the_dashboards_are_what_their_description_makes() -> None:
    assert {path.stem for path in DASHBOARDS} == set(dashboards.DASHBOARDS)
    for path in DASHBOARDS:
        assert path.read_text() == dashboards.text(path.stem)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_has_only_what_grafanas_schema_knows(path: Path) -> None:
    given = json.loads(path.read_text())
    read: dict[str, Any] = json.loads(json.dumps(Dashboard.from_json(given), cls=JSONEncoder))
    assert lost(given, read) == []  # the reader of the schema drops what it does not know


def test_what_grafanas_schema_does_not_know_is_found() -> None:
    given = json.loads(DASHBOARDS[0].read_text())
    given["panels"][0]["fieldConfig"]["defaults"]["units"] = "s"
    given["refreshes"] = "30s"
    read = json.loads(json.dumps(Dashboard.from_json(given), cls=JSONEncoder))
    assert lost(given, read) == ["panels.0.fieldConfig.defaults.units", "refreshes"]


def lost(given: Any, read: Any, place: str = "") -> list[str]:
    """What has another value, or none, after it was read."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [one for key in given for one in lost(given[key], read.get(key), f"{place}.{key}".strip("."))]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        return [one for i, pair in enumerate(zip(given, read, strict=True)) for one in lost(*pair, f"{place}.{i}")]
    return [] if given == read else [place]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_ids_are_unique_and_panels_do_not_overlap(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    places = [
        (row, column)
        for panel in dashboard["panels"]
        for row in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
    ]
    assert len(set(places)) == len(places)
    assert max(column for _, column in places) < dashboards.WIDTH


def test_uids_and_titles_of_dashboards_are_unique() -> None:
    read = [json.loads(path.read_text()) for path in DASHBOARDS]
    for one, other in pairwise(sorted(read, key=lambda one: str(one["uid"]))):
        assert one["uid"] != other["uid"]
        assert one["title"] != other["title"]


@pytest.mark.parametrize("place", PANELS)
def test_a_panel_has_a_unit_and_its_data_source_is_a_variable(place: str) -> None:
    panel = PANELS[place]
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    for one in [panel, *panel["targets"]]:
        assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


def test_a_panel_shows_its_quantity_in_its_unit() -> None:
    for place, panel in PANELS.items():
        asked = set().union(*(series(dashboard_queries()[f"{place}/{target['refId']}"]) for target in panel["targets"]))
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if unit == "s":
            assert all("_seconds_" in name for name in asked), place
        if unit == "bytes":
            assert all(name.endswith("_bytes") for name in asked), place


def test_provisioning_names_the_folder_and_the_source() -> None:
    provisioning = FOLDER / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "shelm.yaml").read_text())["providers"]
    assert (source["type"], provider["type"]) == ("prometheus", "file")
