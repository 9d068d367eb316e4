"""Rules for metrics: those used by autoscalers and alerts must be exported. Each yields problems as text."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.k8s_check.facts import Facts
from tools.k8s_check.manifests import Manifests

ADAPTER = Path(__file__).parents[2] / "deploy" / "k8s" / "components" / "autoscaling" / "prometheus-adapter-values.yaml"
TRITON_SERIES = frozenset({"nv_inference_pending_request_count"})  # of Triton's own exporter
_SERIES = re.compile(r"\b(?:shelm|nv)_\w+")


def adapter_rules(path: Path = ADAPTER) -> dict[str, list[str]]:
    """Returns the custom metrics of the Prometheus adapter: name -> its queries."""
    rules: list[dict[str, Any]] = yaml.safe_load(path.read_text())["rules"]["custom"]
    return {rule["name"]["as"]: [rule["seriesQuery"], rule["metricsQuery"]] for rule in rules}


def adapter_problems(rules: dict[str, list[str]], facts: Facts) -> Iterator[str]:
    """The adapter queries only series that are exported."""
    for name, queries in rules.items():
        yield from (f"prometheus-adapter metric {name}: nobody exports {one}" for one in _unknown(" ".join(queries), facts))


def autoscalers(manifests: Manifests, _: Facts) -> Iterator[str]:
    """An autoscaler targets a workload without a fixed number of replicas, and uses metrics that the adapter provides."""
    offered = adapter_rules()
    for one in manifests.of("HorizontalPodAutoscaler"):
        place, target = f"HorizontalPodAutoscaler {one['metadata']['name']}", one["spec"]["scaleTargetRef"]
        found = manifests.find(target["kind"], target["name"])
        if not found:
            yield f"{place}: no {target['kind']} {target['name']}"
        elif "replicas" in found["spec"]:
            yield f"{place}: {target['kind']} {target['name']} fixes its number of replicas too"
        for metric in one["spec"]["metrics"]:
            name = metric.get("pods", {}).get("metric", {}).get("name")
            if name and name not in offered:
                yield f"{place}: the Prometheus adapter offers no metric {name}"


def alerts(manifests: Manifests, facts: Facts) -> Iterator[str]:
    """Alerts query only series that are exported."""
    for one in manifests.of("PrometheusRule"):
        for rule in (rule for group in one["spec"]["groups"] for rule in group["rules"]):
            yield from (f"alert {rule['alert']}: nobody exports {name}" for name in _unknown(rule["expr"], facts))


def _unknown(query: str, facts: Facts) -> list[str]:
    return sorted(set(_SERIES.findall(query)) - facts.series - TRITON_SERIES)
