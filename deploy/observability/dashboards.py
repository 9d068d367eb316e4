"""Grafana's dashboards as data: `python -m deploy.observability.dashboards` writes grafana/dashboards/*.json.

Contract: the JSON in the repository is the output of this module for panels.py, in the format of Grafana 11. The data source
is a variable.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.observability.panels import AGENTS, MEMORY, OVERVIEW, Panel

FOLDER = Path(__file__).parent / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24  # of a dashboard
Json = dict[str, Any]


def panel_json(panel: Panel, number: int, x: int, y: int) -> Json:
    """Returns a panel in Grafana's format."""
    steps: list[Json] = [{"color": "green", "value": None}]
    if panel.red is not None:
        steps.append({"color": "red", "value": panel.red})
    defaults = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": {"h": 4 if panel.kind == "stat" else 8, "w": panel.width, "x": x, "y": y},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
            for i, (expr, legend) in enumerate(panel.queries)
        ],
    }


def layout(panels: Sequence[Panel]) -> list[Json]:
    """Arranges panels from left to right in rows."""
    placed, x, y, height = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > WIDTH:
            x, y = 0, y + height
        placed.append(panel_json(panel, number, x, y))
        x, height = x + panel.width, placed[-1]["gridPos"]["h"]
    return placed


def variables(*, agent: bool) -> list[Json]:
    """Returns the variables of a dashboard: the data source and the agents."""
    source: Json = {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"}
    chosen: Json = {
        "type": "query",
        "name": "agent",
        "label": "Agent",
        "datasource": SOURCE,
        "query": "label_values(shelm_act_seconds_count, agent)",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
    }
    return [source, chosen] if agent else [source]


def dashboard(uid: str, title: str, panels: Sequence[Panel], *, agent: bool) -> Json:
    """Returns one dashboard."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["shelm"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables(agent=agent)},
        "panels": layout(panels),
    }


DASHBOARDS = {
    "overview": dashboard("shelm-overview", "SHELM overview", OVERVIEW, agent=False),
    "agents": dashboard("shelm-agents", "SHELM agents", AGENTS, agent=True),
    "memory-retrieval": dashboard("shelm-memory", "SHELM memory and retrieval", MEMORY, agent=True),
}


def text(name: str) -> str:
    """Returns the content of a dashboard's file."""
    return json.dumps(DASHBOARDS[name], indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for one in DASHBOARDS:
        (FOLDER / f"{one}.json").write_text(text(one))
