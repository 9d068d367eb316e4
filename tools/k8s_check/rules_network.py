"""Checks that the network policies allow exactly the connections of the architecture.

The policies are evaluated as in Kubernetes: if any policy selects a pod for a direction, only connections that one of them
allows are permitted; a connection must be permitted at both ends. Ports are numbers. Without any policy nothing is checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tools.k8s_check.facts import Facts
from tools.k8s_check.manifests import Manifests, Object, Workload, matches

Edge = tuple[str, str, int]  # from, to, port
GRPC, REDIS, METRICS = "grpc", "redis", "metrics"
MODEL_USERS = ("policy", "retrieval", "memory")
# From, to, container port by name. Workloads that are not part of a combination are ignored.
EDGES = [
    ("policy", "retrieval", GRPC),
    ("policy", "memory", GRPC),
    ("policy", "redis", REDIS),
    ("policy", "redis-cluster", REDIS),
    ("memory", "redis", REDIS),  # reads histories
    ("memory", "redis-cluster", REDIS),
    ("redis-cluster", "redis-cluster", REDIS),
    ("redis-cluster", "redis-cluster", "bus"),
    ("redis-cluster-create", "redis-cluster", REDIS),
    ("proxy", "policy", GRPC),
    ("proxy", "cell", GRPC),
    ("client", "cell", GRPC),  # batches
    *((one, "triton", GRPC) for one in MODEL_USERS),
    *(("prometheus", one, METRICS) for one in (*MODEL_USERS, "triton", "proxy", "cell")),
]
API = "shelm.dev/api"  # label of the pods that answer clients


@dataclass(frozen=True)
class Peer:
    """One end of a connection."""

    name: str
    namespace: str
    labels: dict[str, str]
    ports: dict[int | str, int]


OUTSIDE = [
    Peer("client", "simulators", {"shelm.dev/client": "true"}, {}),
    Peer("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"}, {}),
    Peer("dns", "kube-system", {"k8s-app": "kube-dns"}, {53: 53}),
    Peer("stranger", "elsewhere", {}, {443: 443, 80: 80}),
]


def network_edges(manifests: Manifests, _: Facts) -> Iterator[str]:
    """Yields connections that are allowed but not part of the architecture, and connections that are missing."""
    policies = list(manifests.of("NetworkPolicy"))
    if not policies:
        return
    allowed, wanted = set(_allowed(manifests, policies)), set(_wanted(manifests))
    yield from (f"network policies allow {_text(edge)}" for edge in sorted(allowed - wanted))
    yield from (f"network policies do not allow {_text(edge)}" for edge in sorted(wanted - allowed))


def _text(edge: Edge) -> str:
    return f"{edge[0]} -> {edge[1]}:{edge[2]}"


def _wanted(manifests: Manifests) -> Iterator[Edge]:
    there = {one.name: one for one in manifests.workloads}
    for source, target, port in EDGES:
        if target in there and (source in there or source in ("prometheus", "client")) and port in there[target].ports:
            yield source, target, there[target].ports[port]
    for one in (one for one in there.values() if API in one.labels):
        # With the component tls, through it alone.
        yield "client", one.name, one.ports["tls" if "tls" in one.ports else GRPC]
        if "inspector" in there:
            yield "inspector", one.name, one.ports[GRPC]
    yield from ((name, "dns", 53) for name in there)


def _allowed(manifests: Manifests, policies: list[Object]) -> Iterator[Edge]:
    inside = [_peer(one, policies[0]["metadata"]["namespace"]) for one in manifests.workloads]
    for source in [*inside, *OUTSIDE]:
        for target in [*inside, *OUTSIDE]:
            if source not in inside and target not in inside:
                continue
            for port in sorted(set(target.ports.values())):
                if all(_open(policies, *way, port) for way in (("Egress", source, target), ("Ingress", target, source))):
                    yield source.name, target.name, port


def _peer(workload: Workload, namespace: str) -> Peer:
    return Peer(workload.name, namespace, dict(workload.labels), workload.ports)


def _open(policies: list[Object], direction: str, own: Peer, other: Peer, port: int) -> bool:
    """Returns whether the policies of `own` allow this connection to leave (Egress) or enter (Ingress)."""
    mine = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == own.namespace
        and matches(policy["spec"]["podSelector"], own.labels)
        and direction in policy["spec"]["policyTypes"]
    ]
    rules = [rule for spec in mine for rule in spec.get(direction.lower(), [])]
    ends, target = ("to", other) if direction == "Egress" else ("from", own)
    return not mine or any(_reaches(rule.get(ends), own, other) and _at(rule.get("ports"), port, target) for rule in rules)


def _reaches(ends: list[Object] | None, own: Peer, other: Peer) -> bool:
    return not ends or any(_is(end, own, other) for end in ends)


def _is(end: Object, own: Peer, other: Peer) -> bool:
    if "namespaceSelector" in end:
        here = matches(end["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace})
    else:
        here = "podSelector" in end and other.namespace == own.namespace
    if "ipBlock" in end:  # address blocks are not part of the architecture, so any of them allows too much
        return True
    return here and matches(end.get("podSelector", {}), other.labels)


def _at(ports: list[Object] | None, port: int, target: Peer) -> bool:
    return not ports or any("port" not in one or target.ports.get(one["port"]) == port for one in ports)
