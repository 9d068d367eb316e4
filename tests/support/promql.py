"""The PromQL of the alerts and of the dashboards, and the series it names."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"
ALERTS = FOLDER / "alerts.yaml"
DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def rule_queries() -> dict[str, str]:
    """Name of the alert -> its query."""
    return {rule["alert"]: rule["expr"] for rule in rules()}


def dashboard_queries() -> dict[str, str]:
    """Place in the dashboards -> query, with Grafana's variables filled in; those of the variables themselves too."""
    found: dict[str, str] = {}
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                found[f"{path.stem}/{panel['title']}/{target['refId']}"] = target["expr"]
        for variable in dashboard["templating"]["list"]:
            if asked := re.fullmatch(r"label_values\((.+), \w+\)", str(variable["query"])):
                found[f"{path.stem}/${variable['name']}"] = asked[1]
    return {place: query.replace("$__rate_interval", "5m").replace("$agent", ".*") for place, query in found.items()}


def series(query: str) -> set[str]:
    """Names of all series that a query asks for; ValueError if it is not PromQL."""
    return set(_names(promql_parser.parse(query)))


def _names(node: Any) -> Iterator[str]:
    match node:
        case promql_parser.VectorSelector():
            yield str(node.name)
        case promql_parser.MatrixSelector():
            yield str(node.vector_selector.name)
        case promql_parser.Call():
            for argument in node.args:
                yield from _names(argument)
        case promql_parser.BinaryExpr():
            yield from _names(node.lhs)
            yield from _names(node.rhs)
        case promql_parser.AggregateExpr() | promql_parser.ParenExpr():
            yield from _names(node.expr)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return
        case _:
            raise TypeError(f"unknown PromQL: {node!r}")
