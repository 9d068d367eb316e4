"""Rules for references between objects and to the services' settings. Each yields problems as text."""

import re
from collections.abc import Iterator

from tools.k8s_check.facts import PREFIX, Facts
from tools.k8s_check.manifests import Manifests, Object, Workload, matches, variables

# Secrets that the operator creates (README.md), and their keys.
USER_SECRETS = {
    "shelm-tokens": {"tokens"},
    "shelm-redis": {"password"},
    "shelm-tls": {"tls.crt", "tls.key"},
}
# Of what does not come from services/ with a settings class: until it does, the variables are listed here.
OTHER_SETTINGS = {
    "repository": {"SHELM_AGENTS"},  # of the Triton model repository
}


def selectors(manifests: Manifests, _: Facts) -> Iterator[str]:
    """Every selector matches pods, and only the intended ones."""
    for workload in manifests.workloads:
        own = [workload.spec["selector"]] if "selector" in workload.spec else []
        own += [one.get("labelSelector", {}) for one in workload.pod.get("topologySpreadConstraints", [])]
        if not all(matches(selector, workload.labels) for selector in own):
            yield f"{workload}: a selector does not match its own pods"
        if (
            workload.kind == "Deployment"
            and not workload.pod.get("topologySpreadConstraints")
            and workload.spec.get("replicas") != 1
        ):
            yield f"{workload}: several replicas without topologySpreadConstraints"
    for one in manifests.of("Service"):
        if not manifests.selected({"matchLabels": one["spec"]["selector"]}):
            yield f"Service {one['metadata']['name']}: selects no pod"
    for one in manifests.of("PodDisruptionBudget", "PodMonitor"):
        if not manifests.selected(one["spec"]["selector"]):
            yield f"{one['kind']} {one['metadata']['name']}: selects no pod"


def disruption_budgets(manifests: Manifests, _: Facts) -> Iterator[str]:
    """Every long-running workload has exactly one budget."""
    for workload in manifests.workloads:
        budgets = [one for one in manifests.of("PodDisruptionBudget") if matches(one["spec"]["selector"], workload.labels)]
        if workload.kind != "Job" and len(budgets) != 1:
            yield f"{workload}: {len(budgets)} PodDisruptionBudgets instead of one"


def service_ports(manifests: Manifests, _: Facts) -> Iterator[str]:
    """A Service targets a container port; for a headless Service, port and target port must be the same number."""
    for one in manifests.of("Service"):
        for workload in manifests.selected({"matchLabels": one["spec"]["selector"]}):
            for port in one["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                place = f"Service {one['metadata']['name']}: port {port['port']}"
                if target not in workload.ports:
                    yield f"{place}: {workload} has no container port {target}"
                elif one["spec"].get("clusterIP") == "None" and workload.ports[target] != port["port"]:
                    yield f"{place}: the Service is headless and {workload} listens on {workload.ports[target]}"
    for one in manifests.of("PodMonitor"):
        found = {port for workload in manifests.selected(one["spec"]["selector"]) for port in workload.ports}
        for endpoint in one["spec"]["podMetricsEndpoints"]:
            if endpoint["port"] not in found:
                yield f"PodMonitor {one['metadata']['name']}: no container port {endpoint['port']}"


def references(manifests: Manifests, _: Facts) -> Iterator[str]:
    """ConfigMaps, Secrets and their keys exist, or are created by the operator; `$(NAME)` is defined before it is used."""
    for workload in manifests.workloads:
        for kind, name, key in _references(workload):
            keys = _keys(manifests, kind, name)
            if keys is None:
                yield f"{workload}: no {kind} {name}, and it is not one that the operator makes"
            elif key and key not in keys:
                yield f"{workload}: {kind} {name} has no key {key}"
        for container in workload.containers:
            yield from (f"{workload}: $({name}) is used before it is set" for name in _unset(container))


def _references(workload: Workload) -> Iterator[tuple[str, str, str]]:
    """Yields kind, name and key (empty: all keys) of everything that a pod reads."""
    for one in workload.containers:
        for source in one.get("envFrom", []):
            for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if field in source:
                    yield kind, source[field]["name"], ""
        for variable in one.get("env", []):
            for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                if field in variable.get("valueFrom", {}):
                    yield kind, variable["valueFrom"][field]["name"], variable["valueFrom"][field]["key"]
    for volume in workload.pod.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], ""
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], ""


def _keys(manifests: Manifests, kind: str, name: str) -> set[str] | None:
    one = manifests.find(kind, name)
    return set(one.get("data", {})) if one else USER_SECRETS.get(name) if kind == "Secret" else None


def _unset(container: Object) -> Iterator[str]:
    known: set[str] = set()
    for variable in container.get("env", []):
        yield from set(re.findall(r"\$\((\w+)\)", variable.get("value", ""))) - known
        known.add(variable["name"])
    text = " ".join([*container.get("command", []), *container.get("args", [])])
    yield from set(re.findall(r"\$\((\w+)\)", text)) - known


def settings(manifests: Manifests, facts: Facts) -> Iterator[str]:
    """Every SHELM_ variable is a setting of its service, and the addresses in it exist."""
    for workload in manifests.workloads:
        for container in workload.containers:
            name = container["name"]
            known = set(facts.services[name].settings) if name in facts.services else OTHER_SETTINGS.get(name, set())
            for variable, value in variables(manifests, container).items():
                if variable.startswith(PREFIX) and variable not in known:
                    yield f"{workload}/{name}: {variable} is not a setting of {name}"
                yield from (
                    f"{workload}/{name}: {variable}: {problem}" for problem in _address(manifests, workload, variable, value)
                )


def _address(manifests: Manifests, workload: Workload, variable: str, value: str) -> Iterator[str]:
    if variable.startswith(PREFIX) and variable.endswith("LISTEN") and int(value.rpartition(":")[2]) not in workload.ports:
        yield f"no container port {value.rpartition(':')[2]}"
    if variable.startswith(PREFIX) and variable.endswith(("_TARGET", "_URL")):
        host, _, port = value.rpartition("@")[2].rpartition("//")[2].partition("/")[0].partition(":")
        if host == "127.0.0.1" and len(workload.lasting) > 1:  # a sidecar
            return
        service = manifests.find("Service", host)
        if not service or int(port) not in [one["port"] for one in service["spec"]["ports"]]:
            yield f"no Service {host} with port {port}"


def namespace(manifests: Manifests, _: Facts) -> Iterator[str]:
    """All objects are in the one namespace that the manifests create."""
    names = {one["metadata"]["name"] for one in manifests.of("Namespace")}
    for one in manifests.objects:
        if one["kind"] != "Namespace" and one["metadata"].get("namespace") not in names:
            yield f"{one['kind']} {one['metadata']['name']}: is not in the namespace {', '.join(names)}"
