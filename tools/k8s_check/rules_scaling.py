"""Rules for metrics: those used by autoscalers and alerts must be exported. Each yields problems as text."""

import re
from collections.abc import Iterator

from tools.k8s_check.facts import Facts
from tools.k8s_check.manifests import Manifests, Object

TRITON_SERIES = frozenset({"nv_inference_pending_request_count"})  # of Triton's own exporter
_SERIES = re.compile(r"\b(?:shelm|nv)_\w+")
_LABEL = re.compile(r"(namespace|container)=\"(\w+)\"")


def autoscalers(manifests: Manifests, facts: Facts) -> Iterator[str]:
    """An autoscaler targets a workload without a fixed number of replicas, by metrics that this workload exports."""
    for one in manifests.of("ScaledObject"):
        place, target = f"ScaledObject {one['metadata']['name']}", one["spec"]["scaleTargetRef"]
        found = manifests.find(target["kind"], target["name"])
        if not found:
            yield f"{place}: no {target['kind']} {target['name']}"
            continue
        if "replicas" in found["spec"]:
            yield f"{place}: {target['kind']} {target['name']} fixes its number of replicas too"
        for trigger in one["spec"]["triggers"]:
            if trigger["type"] == "prometheus":
                yield from (f"{place}: {problem}" for problem in _query(trigger["metadata"]["query"], found, facts))


def _query(query: str, target: Object, facts: Facts) -> Iterator[str]:
    yield from (f"nobody exports {name}" for name in _unknown(query, facts))
    containers = [one["name"] for one in target["spec"]["template"]["spec"]["containers"]]
    labels = dict(_LABEL.findall(query))
    if labels.get("namespace") != target["metadata"]["namespace"]:
        yield f"the query is not about the namespace {target['metadata']['namespace']}"
    if labels.get("container") not in containers:
        yield f"the query is not about a container of {target['metadata']['name']}"


def alerts(manifests: Manifests, facts: Facts) -> Iterator[str]:
    """Alerts query only series that are exported."""
    for one in manifests.of("PrometheusRule"):
        for rule in (rule for group in one["spec"]["groups"] for rule in group["rules"]):
            yield from (f"alert {rule['alert']}: nobody exports {name}" for name in _unknown(rule["expr"], facts))


def _unknown(query: str, facts: Facts) -> list[str]:
    return sorted(set(_SERIES.findall(query)) - facts.series - TRITON_SERIES)
