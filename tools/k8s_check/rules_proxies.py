"""Rules for the configuration of Envoy in ConfigMaps. Each yields problems as text."""

from collections.abc import Iterator
from typing import Any

import yaml

from tools.k8s_check.facts import Facts
from tools.k8s_check.manifests import Manifests, Object, Workload

LOOPBACK = "127.0.0.1"
MOUNTED = "/etc/envoy/"


def proxies(manifests: Manifests, _: Facts) -> Iterator[str]:
    """Envoy listens where its container says, calls Services that exist, and knows every cluster and file that it names."""
    for workload in manifests.workloads:
        for config in _configurations(manifests, workload):
            place = f"{workload}: ConfigMap {config['metadata']['name']}"
            documents = {name: yaml.safe_load(text) for name, text in config["data"].items()}
            found = [(kind, value) for document in documents.values() for kind, value in _named(document)]
            clusters = {value for kind, value in found if kind == "cluster_name"}
            for kind, value in found:
                yield from (f"{place}: {problem}" for problem in _problem(kind, value, clusters, set(documents)))
            for listener in documents["envoy.yaml"]["static_resources"]["listeners"]:
                port = listener["address"]["socket_address"]["port_value"]
                if port not in workload.ports:
                    yield f"{place}: no container port {port}"
            for host, port in _called(documents):
                service = manifests.find("Service", host)
                if host != LOOPBACK and not (service and port in [one["port"] for one in service["spec"]["ports"]]):
                    yield f"{place}: no Service {host} with port {port}"


def _configurations(manifests: Manifests, workload: Workload) -> Iterator[Object]:
    for volume in workload.pod.get("volumes", []):
        config = manifests.find("ConfigMap", volume.get("configMap", {}).get("name", ""))
        if config and "envoy.yaml" in config["data"]:
            yield config


def _named(document: Any) -> Iterator[tuple[str, str]]:
    """Yields key and text of everything in a document."""
    if isinstance(document, dict):
        for key, value in document.items():
            if isinstance(value, str):
                yield key, value
            yield from _named(value)
    elif isinstance(document, list):
        for value in document:
            yield from _named(value)


def _problem(kind: str, value: str, clusters: set[str], files: set[str]) -> Iterator[str]:
    if kind == "cluster" and value not in clusters | {"shelm"}:  # of the node that Envoy belongs to
        yield f"no cluster {value}"
    if kind == "path" and value.startswith(MOUNTED) and value.removeprefix(MOUNTED) not in files:
        yield f"no file {value}"


def _called(documents: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yields host and port of every server in the clusters."""
    clusters = list(documents["envoy.yaml"]["static_resources"]["clusters"])
    clusters += documents.get("clusters.yaml", {}).get("resources", [])
    for cluster in clusters:
        for group in cluster["load_assignment"]["endpoints"]:
            for one in group["lb_endpoints"]:
                place = one["endpoint"]["address"]["socket_address"]
                yield place["address"], place["port_value"]
