"""Rendered manifests, with the queries that the rules share: pods, labels, ports, settings.

Objects are shared between combinations and must not be changed. Failure policy: fields required by the schemas are assumed
to exist, because the rules run only on manifests that the schemas accept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

Object = dict[str, Any]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
POD_NAME = "statefulset.kubernetes.io/pod-name"  # a label that Kubernetes gives each pod of a StatefulSet
_POD_KINDS = ("Deployment", "StatefulSet", "Job")


@lru_cache(maxsize=4096)
def _parse(document: str) -> Object | None:
    loaded: Object | None = yaml.load(document, Loader=_Loader)
    return loaded


@dataclass(frozen=True)
class Workload:
    """An object that creates pods."""

    kind: str
    name: str
    labels: Mapping[str, str]  # of its pods
    pod: Object  # pod spec
    spec: Object

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def pods(self) -> list[Mapping[str, str]]:
        """Labels of each pod that Kubernetes tells apart by a label; those of all of them alike."""
        if self.kind != "StatefulSet":
            return [self.labels]
        count = self.spec.get("replicas", 1)
        return [{**self.labels, POD_NAME: f"{self.name}-{number}"} for number in range(count)]

    @property
    def containers(self) -> list[Object]:
        """All containers, init containers first."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def lasting(self) -> list[Object]:
        """The containers that run as long as the pod: sidecars and main containers."""
        return [one for one in self.containers if one in self.pod["containers"] or one.get("restartPolicy") == "Always"]

    @property
    def ports(self) -> dict[int | str, int]:
        """Container ports, by name and by number."""
        listed = [port for one in self.containers for port in one.get("ports", [])]
        numbers: dict[int | str, int] = {port["containerPort"]: port["containerPort"] for port in listed}
        return numbers | {port["name"]: port["containerPort"] for port in listed if "name" in port}


@dataclass(frozen=True)
class Manifests:
    """All objects of one combination."""

    objects: list[Object] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Manifests":
        """Parses the YAML that kustomize prints."""
        return cls([found for one in text.split("\n---\n") if (found := _parse(one))])

    def of(self, *kinds: str) -> Iterator[Object]:
        """Returns objects of some kinds."""
        return (one for one in self.objects if one["kind"] in kinds)

    def find(self, kind: str, name: str) -> Object | None:
        """Returns the object of that name."""
        return next((one for one in self.of(kind) if one["metadata"]["name"] == name), None)

    @property
    def workloads(self) -> list[Workload]:
        """Returns all objects that create pods."""
        return [_workload(one) for one in self.of(*_POD_KINDS)]

    def selected(self, selector: Object) -> list[Workload]:
        """Returns the workloads whose pods match a selector."""
        return [one for one in self.workloads if any(matches(selector, labels) for labels in one.pods)]


def _workload(one: Object) -> Workload:
    template = one["spec"]["template"]
    labels = template.get("metadata", {}).get("labels", {})
    return Workload(one["kind"], one["metadata"]["name"], labels, template["spec"], one["spec"])


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Returns whether a label selector (matchLabels, matchExpressions) matches these labels."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        _holds(one, labels) for one in selector.get("matchExpressions", [])
    )


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    value, operator = labels.get(expression["key"]), str(expression["operator"])
    values: list[str] = expression.get("values", [])
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    return (value in values) == (operator == "In")


def variables(manifests: Manifests, container: Object) -> dict[str, str]:
    """Returns the environment of a container from ConfigMaps and literal values; secrets are empty."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        config = manifests.find("ConfigMap", source.get("configMapRef", {}).get("name", ""))
        found |= (config or {}).get("data", {})
    return found | {one["name"]: one.get("value", "") for one in container.get("env", [])}
