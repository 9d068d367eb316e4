"""Rules for single pods: images, hardening, resources, probes, volumes, shutdown. Each yields problems as text."""

from collections.abc import Iterator
from typing import Any

from services.runtime.server import LIVE
from tools.k8s_check.facts import Facts
from tools.k8s_check.manifests import Manifests, Object, Workload, variables

SPARE = 5  # seconds that a process may take to exit after its last call


def image_tags(manifests: Manifests, _: Facts) -> Iterator[str]:
    """Every image has a tag, never `latest`, and the same image has the same tag everywhere."""
    tags: dict[str, str] = {}
    for workload, container in _containers(manifests):
        name, _colon, tag = container["image"].rpartition(":")
        if not name or "/" in tag or tag == "latest":
            yield f"{workload}: image {container['image']} has no pinned tag"
        elif tags.setdefault(name, tag) != tag:
            yield f"{workload}: image {name} has the tags {tags[name]} and {tag}"


def hardening(manifests: Manifests, _: Facts) -> Iterator[str]:
    """Non-root, read-only root, no privileges, no service-account token."""
    for workload in manifests.workloads:
        pod = workload.pod.get("securityContext", {})
        if workload.pod.get("automountServiceAccountToken") is not False:
            yield f"{workload}: automountServiceAccountToken is not false"
        for one in workload.containers:
            own: Object = one.get("securityContext", {})
            both = {**pod, **own}
            wanted: dict[str, Any] = {
                "runAsNonRoot": True,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
            }
            yield from (
                f"{workload}/{one['name']}: {key} is not {value}" for key, value in wanted.items() if both.get(key) != value
            )
            if not both.get("runAsUser"):
                yield f"{workload}/{one['name']}: runAsUser is not a user above 0"
            if both.get("seccompProfile", {}).get("type") != "RuntimeDefault":
                yield f"{workload}/{one['name']}: seccompProfile is not RuntimeDefault"
            if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
                yield f"{workload}/{one['name']}: capabilities are not dropped"


def resources(manifests: Manifests, _: Facts) -> Iterator[str]:
    """Every container has requests and limits for CPU and memory."""
    for workload, container in _containers(manifests):
        for part in ("requests", "limits"):
            missing = {"cpu", "memory"} - set(container.get("resources", {}).get(part, {}))
            yield from (f"{workload}/{container['name']}: no {part} of {name}" for name in sorted(missing))


def probes(manifests: Manifests, facts: Facts) -> Iterator[str]:
    """Long-running containers have readiness and liveness probes, which use existing ports and health names."""
    for workload in manifests.workloads:
        if workload.kind == "Job":
            continue
        for one in workload.lasting:
            for kind in ("readinessProbe", "livenessProbe"):
                if kind not in one:
                    yield f"{workload}/{one['name']}: no {kind}"
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                yield from _probe(workload, one, kind, facts)


def _probe(workload: Workload, container: Object, kind: str, facts: Facts) -> Iterator[str]:
    place, probe = f"{workload}/{container['name']}: {kind}", container.get(kind, {})
    for how in ("grpc", "tcpSocket", "httpGet"):
        if how in probe and probe[how]["port"] not in workload.ports:
            yield f"{place}: no container port {probe[how]['port']}"
    service = facts.services.get(container["name"])
    if "grpc" not in probe or not service:
        return
    name = probe["grpc"].get("service", "")
    if name not in service.health | {LIVE}:
        yield f"{place}: {container['name']} serves no health for {name!r}"
    if kind == "livenessProbe" and name != LIVE:
        yield f"{place}: health also tells what the service waits for; a restart would not help"
    if kind != "livenessProbe" and name == LIVE:
        yield f"{place}: {LIVE!r} says nothing of what the service waits for"


def volumes(manifests: Manifests, _: Facts) -> Iterator[str]:
    """Mounted volumes are defined, and defined volumes are mounted."""
    for workload in manifests.workloads:
        claims = [claim["metadata"]["name"] for claim in workload.spec.get("volumeClaimTemplates", [])]
        defined = {volume["name"] for volume in workload.pod.get("volumes", [])} | set(claims)
        mounted = {mount["name"] for one in workload.containers for mount in one.get("volumeMounts", [])}
        yield from (f"{workload}: volume {name} is mounted but not defined" for name in sorted(mounted - defined))
        yield from (f"{workload}: volume {name} is defined but not mounted" for name in sorted(defined - mounted))


def drain(manifests: Manifests, facts: Facts) -> Iterator[str]:
    """A stopping service first receives no new calls (preStop), then finishes running calls, then has time to exit."""
    for workload, container in _containers(manifests):
        service = facts.services.get(container["name"])
        if not service:
            continue
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        grace = float(variables(manifests, container).get("SHELM_STOP_GRACE", service.settings["SHELM_STOP_GRACE"]))
        given = workload.pod.get("terminationGracePeriodSeconds", 30)
        if pause < 5:
            yield f"{workload}: no preStop pause of 5 seconds or more"
        if given < pause + grace + SPARE:
            yield f"{workload}: terminationGracePeriodSeconds {given} < preStop {pause} + drain {grace:g} + {SPARE}"


def _containers(manifests: Manifests) -> Iterator[tuple[Workload, Object]]:
    return ((workload, one) for workload in manifests.workloads for one in workload.containers)
