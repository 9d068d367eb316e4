"""The check of the Kubernetes manifests: it accepts every real combination, and catches each kind of planted error."""

import copy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic_settings import BaseSettings

from tools.k8s_check import kustomize
from tools.k8s_check.check import Checker, check, rule_problems
from tools.k8s_check.facts import Facts, read_facts
from tools.k8s_check.kustomize import (
    COMPONENTS,
    CannotRender,
    Combination,
    KubectlMissing,
    all_combinations,
    find_kubectl,
    render,
)
from tools.k8s_check.manifests import Manifests, Object, variables
from tools.k8s_check.rules_capacity import fits, quantity
from tools.k8s_check.schemas import SchemasMissing, schema_problems

EVERYTHING = Combination("laptop", COMPONENTS)
SINGLE_REDIS = Combination("cpu")
Break = Callable[[Manifests], Any]


@pytest.fixture(scope="module")
def kubectl() -> str:
    try:
        return find_kubectl()
    except KubectlMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def facts() -> Facts:
    return read_facts()


@pytest.fixture(scope="module")
def rendered(kubectl: str) -> dict[Combination, str]:
    return {one: render(kubectl, one) for one in (EVERYTHING, SINGLE_REDIS)}


@pytest.fixture(scope="module")
def intact(rendered: dict[Combination, str], facts: Facts) -> Manifests:
    """All components at once, in which no rule finds a problem."""
    manifests = Manifests.parse(rendered[EVERYTHING])
    assert rule_problems(manifests, facts) == []
    return manifests


@pytest.fixture
def everything(intact: Manifests) -> Manifests:
    """A copy that a test may break."""
    return copy.deepcopy(intact)


@pytest.fixture(scope="module")
def well_formed(intact: Manifests) -> None:
    """Kubernetes would take all of it."""
    pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate==1.37.0")
    assert [problem for one in intact.of(*SHAPED) for problem in schema_problems(one)] == []


def the(manifests: Manifests, kind: str, name: str) -> Object:
    found = manifests.find(kind, name)
    assert found, f"{kind} {name}"
    return found


def pod(manifests: Manifests, name: str, kind: str = "Deployment") -> Object:
    spec: Object = the(manifests, kind, name)["spec"]["template"]["spec"]
    return spec


def container(manifests: Manifests, name: str, kind: str = "Deployment") -> Object:
    one: Object = pod(manifests, name, kind)["containers"][0]
    return one


def rule(manifests: Manifests, policy: str, direction: str, index: int = 0) -> Object:
    found: Object = the(manifests, "NetworkPolicy", policy)["spec"][direction][index]
    return found


def drop(manifests: Manifests, kind: str, name: str) -> None:
    manifests.objects.remove(the(manifests, kind, name))


def settings_map(manifests: Manifests) -> Object:
    return next(one["data"] for one in manifests.of("ConfigMap") if "shelm-settings" in one["metadata"]["name"])


def trigger(manifests: Manifests, name: str, **metadata: str) -> None:
    the(manifests, "ScaledObject", name)["spec"]["triggers"].append({"type": "prometheus", "metadata": metadata})


def proxy(manifests: Manifests, file: str, old: str, new: str) -> None:
    config = next(one for one in manifests.of("ConfigMap") if one["metadata"]["name"].startswith("proxy-config"))
    assert old in config["data"][file]
    config["data"][file] = config["data"][file].replace(old, new)


def env(manifests: Manifests, name: str, variable: str) -> Object:
    found: Object = next(one for one in container(manifests, name)["env"] if one["name"] == variable)
    return found


# What is broken, and what the check must say about it.
PLANTED: dict[str, tuple[Break, str]] = {
    "selector without its pods": (
        lambda m: the(m, "Deployment", "policy")["spec"]["selector"].update(matchLabels={"app.kubernetes.io/name": "door"}),
        "Deployment policy: a selector does not match its own pods",
    ),
    "spread of other pods": (
        lambda m: pod(m, "memory")["topologySpreadConstraints"][0].update(labelSelector={"matchLabels": {"a": "b"}}),
        "Deployment memory: a selector does not match its own pods",
    ),
    "no spread": (
        lambda m: pod(m, "retrieval").pop("topologySpreadConstraints"),
        "Deployment retrieval: several replicas without topologySpreadConstraints",
    ),
    "service without pods": (
        lambda m: the(m, "Service", "memory")["spec"].update(selector={"app.kubernetes.io/name": "memroy"}),
        "Service memory: selects no pod",
    ),
    "service to a port that is not there": (
        lambda m: the(m, "Service", "policy")["spec"]["ports"][0].update(targetPort="http"),
        "Deployment proxy has no container port http",
    ),
    "headless service with another port": (
        lambda m: the(m, "Service", "memory")["spec"]["ports"][0].update(port=80),
        "the Service is headless and Deployment memory listens on 50053",
    ),
    "health name that is not served": (
        lambda m: container(m, "policy")["readinessProbe"]["grpc"].update(service="shelm.v1.PolicyService"),
        "policy serves no health for 'shelm.v1.PolicyService'",
    ),
    "probe of a port that is not there": (
        lambda m: container(m, "triton", "StatefulSet")["readinessProbe"]["grpc"].update(port=8003),
        "StatefulSet triton/triton: readinessProbe: no container port 8003",
    ),
    "restart for a peer that is away": (
        lambda m: container(m, "policy").update(livenessProbe=container(m, "policy")["readinessProbe"]),
        "Deployment policy/policy: livenessProbe: health also tells what the service waits for",
    ),
    "readiness that only says that it answers": (
        lambda m: container(m, "policy")["readinessProbe"]["grpc"].update(service="live"),
        "Deployment policy/policy: readinessProbe: 'live' says nothing of what the service waits for",
    ),
    "no readiness": (
        lambda m: container(m, "inspector").pop("readinessProbe"),
        "Deployment inspector/inspector: no readinessProbe",
    ),
    "tag latest": (
        lambda m: container(m, "policy").update(image="registry.example/shelm/policy:latest"),
        "image registry.example/shelm/policy:latest has no pinned tag",
    ),
    "no tag": (
        lambda m: container(m, "policy").update(image="registry:5000/shelm/policy"),
        "image registry:5000/shelm/policy has no pinned tag",
    ),
    "two tags of one image": (
        lambda m: pod(m, "policy")["initContainers"][-1].update(image="registry.example/shelm/agents:0.0.9"),
        "image registry.example/shelm/agents has the tags",
    ),
    "root": (
        lambda m: pod(m, "memory")["securityContext"].update(runAsUser=0),
        "memory/memory: runAsUser is not a user above 0",
    ),
    "maybe root": (
        lambda m: pod(m, "memory")["securityContext"].pop("runAsNonRoot"),
        "memory/memory: runAsNonRoot is not True",
    ),
    "writable root": (
        lambda m: container(m, "redis-cluster", "StatefulSet")["securityContext"].update(readOnlyRootFilesystem=False),
        "redis-cluster/redis: readOnlyRootFilesystem is not True",
    ),
    "privileges": (
        lambda m: container(m, "triton", "StatefulSet")["securityContext"].pop("allowPrivilegeEscalation"),
        "triton/triton: allowPrivilegeEscalation is not False",
    ),
    "capabilities": (
        lambda m: container(m, "triton", "StatefulSet")["securityContext"].update(
            capabilities={"drop": ["ALL"], "add": ["SYS_PTRACE"]}
        ),
        "triton/triton: capabilities are not dropped",
    ),
    "no seccomp": (
        lambda m: pod(m, "redis-cluster-create", "Job")["securityContext"].pop("seccompProfile"),
        "redis-cluster-create/create: seccompProfile is not RuntimeDefault",
    ),
    "service-account token": (
        lambda m: pod(m, "policy").pop("automountServiceAccountToken"),
        "Deployment policy: automountServiceAccountToken is not false",
    ),
    "no memory limit": (
        lambda m: container(m, "retrieval")["resources"]["limits"].pop("memory"),
        "retrieval/retrieval: no limits of memory",
    ),
    "no resources": (
        lambda m: pod(m, "policy")["initContainers"][0].pop("resources"),
        "no requests of cpu",
    ),
    "ConfigMap that is not there": (
        lambda m: container(m, "policy")["envFrom"][0]["configMapRef"].update(name="shelm-setings"),
        "Deployment policy: no ConfigMap shelm-setings",
    ),
    "Secret that nobody makes": (
        lambda m: pod(m, "policy")["volumes"][1]["secret"].update(secretName="policy-tokens"),
        "Deployment policy: no Secret policy-tokens",
    ),
    "key that is not in the Secret": (
        lambda m: env(m, "policy", "REDIS_PASSWORD")["valueFrom"]["secretKeyRef"].update(key="pasword"),
        "Deployment policy: Secret shelm-redis has no key pasword",
    ),
    "variable used before it is set": (
        lambda m: container(m, "memory")["env"].reverse(),
        "Deployment memory: $(REDIS_PASSWORD) is used before it is set",
    ),
    "misspelt setting": (
        lambda m: settings_map(m).update(SHELM_STOP_GRACES="10"),
        "Deployment policy/policy: SHELM_STOP_GRACES is not a setting of policy",
    ),
    "setting of another service": (
        lambda m: container(m, "retrieval")["env"].append({"name": "SHELM_SLOTS", "value": "64"}),
        "Deployment retrieval/retrieval: SHELM_SLOTS is not a setting of retrieval",
    ),
    "target without a Service": (
        lambda m: env(m, "policy", "SHELM_MEMORY_TARGET").update(value="memory:50035"),
        "SHELM_MEMORY_TARGET: no Service memory with port 50035",
    ),
    "Redis elsewhere": (lambda m: drop(m, "Service", "redis"), "SHELM_REDIS_URL: no Service redis with port 6379"),
    "listens where no port is": (
        lambda m: env(m, "memory", "SHELM_MEMORY_LISTEN").update(value="0.0.0.0:50052"),
        "SHELM_MEMORY_LISTEN: no container port 50052",
    ),
    "killed while it drains": (
        lambda m: pod(m, "policy").update(terminationGracePeriodSeconds=20),
        "Deployment policy: terminationGracePeriodSeconds 20 < preStop 10 + drain 10 + 5",
    ),
    "longer drain than the pod gets": (
        lambda m: settings_map(m).update(SHELM_STOP_GRACE="60"),
        "Deployment memory: terminationGracePeriodSeconds 30 < preStop 10 + drain 60 + 5",
    ),
    "no pause before the drain": (
        lambda m: container(m, "retrieval").pop("lifecycle"),
        "Deployment retrieval: no preStop pause",
    ),
    "mount of nothing": (
        lambda m: pod(m, "policy")["volumes"].pop(),
        "is mounted but not defined",
    ),
    "volume that nobody mounts": (
        lambda m: pod(m, "memory")["volumes"].append({"name": "spare", "emptyDir": {}}),
        "Deployment memory: volume spare is defined but not mounted",
    ),
    "budget of nothing": (
        lambda m: the(m, "PodDisruptionBudget", "triton")["spec"].update(selector={"matchLabels": {"a": "b"}}),
        "PodDisruptionBudget triton: selects no pod",
    ),
    "no budget": (lambda m: drop(m, "PodDisruptionBudget", "memory"), "Deployment memory: 0 PodDisruptionBudgets"),
    "autoscaler without its metric": (
        lambda m: trigger(m, "memory", query='rate(shelm_queue_length{namespace="shelm",container="memory"}[1m])'),
        "ScaledObject memory: nobody exports shelm_queue_length",
    ),
    "autoscaler by the metric of another service": (
        lambda m: trigger(m, "memory", query='shelm_queue_seconds_sum{namespace="shelm",container="policy"}'),
        "ScaledObject memory: the query is not about a container of memory",
    ),
    "autoscaler by the metric of another namespace": (
        lambda m: trigger(m, "memory", query='shelm_queue_seconds_sum{container="memory"}'),
        "ScaledObject memory: the query is not about the namespace shelm",
    ),
    "autoscaler of nothing": (
        lambda m: the(m, "ScaledObject", "memory")["spec"]["scaleTargetRef"].update(name="memroy"),
        "ScaledObject memory: no Deployment memroy",
    ),
    "replicas fixed against the autoscaler": (
        lambda m: the(m, "Deployment", "policy")["spec"].update(replicas=2),
        "Deployment policy fixes its number of replicas too",
    ),
    "proxy before a server that is not there": (
        lambda m: drop(m, "Service", "policy-replicas"),
        "no Service policy-replicas with port 50051",
    ),
    "proxy that listens elsewhere": (
        lambda m: proxy(m, "envoy.yaml", "port_value: 50051", "port_value: 50050"),
        ": no container port 50050",
    ),
    "route to nowhere": (
        lambda m: proxy(m, "routes.yaml", "cluster: servers", "cluster: server"),
        ": no cluster server",
    ),
    "file that is not mounted": (
        lambda m: proxy(m, "envoy.yaml", "/etc/envoy/routes.yaml", "/etc/envoy/route.yaml"),
        ": no file /etc/envoy/route.yaml",
    ),
    "alert on a metric that nobody exports": (
        lambda m: the(m, "PrometheusRule", "shelm")["spec"]["groups"][0]["rules"][0].update(
            expr="rate(shelm_errors_total[5m])"
        ),
        "alert ShelmCallsFail: nobody exports shelm_errors_total",
    ),
    "metrics of no port": (
        lambda m: the(m, "PodMonitor", "shelm")["spec"]["podMetricsEndpoints"][0].update(port="prometheus"),
        "PodMonitor shelm: no container port prometheus",
    ),
    "another namespace": (
        lambda m: the(m, "Service", "policy")["metadata"].update(namespace="default"),
        "Service policy: is not in the namespace shelm",
    ),
    "edge too many": (  # both ends must be wrong
        lambda m: [
            rule(m, "memory", "ingress").pop("from"),
            the(m, "NetworkPolicy", "retrieval")["spec"]["egress"].append({}),
        ],
        "network policies allow retrieval -> memory:50053",
    ),
    "edge of an ip range": (
        lambda m: the(m, "NetworkPolicy", "policy")["spec"]["egress"].append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}),
        "network policies allow policy -> stranger:443",
    ),
    "everybody may act": (
        lambda m: rule(m, "client-to-policy", "ingress").pop("from"),
        "network policies allow stranger -> proxy:8443",
    ),
    "past the encryption": (
        lambda m: rule(m, "client-to-policy", "ingress").pop("ports"),
        "network policies allow client -> proxy:50051",
    ),
    "edge missing at its source": (
        lambda m: the(m, "NetworkPolicy", "memory")["spec"]["egress"].pop(0),
        "network policies do not allow memory -> redis-cluster:6379",
    ),
    "edge missing at its target": (
        lambda m: drop(m, "NetworkPolicy", "triton"),
        "network policies do not allow policy -> triton:8001",
    ),
    "no names": (lambda m: drop(m, "NetworkPolicy", "dns"), "network policies do not allow policy -> dns:53"),
    "nothing denied": (
        lambda m: drop(m, "NetworkPolicy", "default-deny"),
        "network policies allow stranger -> inspector:8080",
    ),
    "no scraping": (
        lambda m: drop(m, "NetworkPolicy", "prometheus-to-metrics"),
        "network policies do not allow prometheus -> memory:9464",
    ),
}
# Refused by Kubernetes' own schemas.
MISSHAPEN: dict[str, tuple[Break, str]] = {
    "unknown field": (lambda m: pod(m, "policy").update(replica=2), "Deployment policy: spec.template.spec"),
    "wrong type": (
        lambda m: the(m, "Service", "policy")["spec"]["ports"][0].update(port="50051"),
        "Service policy: spec.ports",
    ),
    "unknown kind": (lambda m: the(m, "Service", "policy").update(apiVersion="v2"), "knows no v2 Service"),
    "unknown field of an autoscaler": (
        lambda m: the(m, "ScaledObject", "policy")["spec"].update(minReplicas=2),
        "ScaledObject policy: spec: ",
    ),
    "number where KEDA wants a text": (
        lambda m: trigger(m, "policy", threshold=8),  # type: ignore[arg-type]
        "ScaledObject policy: spec.triggers",
    ),
    "behaviour that no autoscaler has": (
        lambda m: the(m, "ScaledObject", "policy")["spec"].update(
            advanced={"horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": {"policies": [{"type": "Percent"}]}}}}
        ),
        "HorizontalPodAutoscaler policy: spec.behavior.scaleUp.policies",
    ),
}
# Where one of a misshapen kind may be.
SHAPED = ("Deployment", "Service", "ScaledObject")


@pytest.mark.slow
def test_every_real_combination_is_accepted(kubectl: str, facts: Facts) -> None:
    pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate==1.37.0")
    combinations = list(all_combinations())
    assert {one.overlay for one in combinations} == {"laptop", "cpu", "gpu", "cells"}
    assert EVERYTHING in combinations
    assert check(combinations, Checker(facts), facts) == {}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_is_caught(name: str, everything: Manifests, facts: Facts) -> None:
    breaks, expected = PLANTED[name]
    breaks(everything)
    assert [problem for problem in rule_problems(everything, facts) if expected in problem]


@pytest.mark.usefixtures("well_formed")
@pytest.mark.parametrize("name", MISSHAPEN)
def test_what_kubernetes_would_refuse_is_caught(name: str, everything: Manifests) -> None:
    breaks, expected = MISSHAPEN[name]
    breaks(everything)
    found = [problem for one in everything.of(*SHAPED) for problem in schema_problems(one)]
    assert [problem for problem in found if expected in problem]


def test_one_redis_may_be_reached_by_policy_and_memory_alone(rendered: dict[Combination, str], facts: Facts) -> None:
    manifests = copy.deepcopy(Manifests.parse(rendered[SINGLE_REDIS]))
    allowed = rule(manifests, "redis", "ingress")["from"][0]["podSelector"]["matchExpressions"][0]["values"]
    allowed.append("retrieval")
    assert rule_problems(manifests, facts) == []  # retrieval itself still may not
    the(manifests, "NetworkPolicy", "retrieval")["spec"]["egress"].append({})
    assert "network policies allow retrieval -> redis:6379" in rule_problems(manifests, facts)


def test_a_cell_needs_a_service_of_its_name_and_has_one(kubectl: str, facts: Facts) -> None:
    manifests = Manifests.parse(render(kubectl, Combination("cells")))
    assert rule_problems(manifests, facts) == []
    the(manifests, "StatefulSet", "cell")["spec"]["replicas"] = 3
    assert rule_problems(manifests, facts) == ["Service cell-3: selects no pod"]
    drop(manifests, "Service", "cell-3")
    assert rule_problems(manifests, facts) == [
        f"Deployment proxy: ConfigMap {name}: no Service cell-3 with port 50051"
        for name in (one["metadata"]["name"] for one in manifests.of("ConfigMap"))
        if name.startswith("proxy-config")
    ]


def test_the_laptop_overlay_fits_a_laptop(kubectl: str) -> None:
    manifests = copy.deepcopy(Manifests.parse(render(kubectl, Combination("laptop"))))
    assert list(fits("laptop", manifests)) == []
    container(manifests, "memory")["resources"]["requests"]["memory"] = "6Gi"
    assert list(fits("laptop", manifests)) == ["laptop: requests 7.58e+09 of memory, of which a node has 8e+09 - 1e+09"]


def gpu_memory(manifests: Manifests) -> None:
    container(manifests, "triton", "StatefulSet")["resources"]["limits"]["memory"] = "16Gi"


def gpu_slots(manifests: Manifests) -> None:
    given = pod(manifests, "triton", "StatefulSet")["initContainers"][1]["env"]
    next(one for one in given if one["name"] == "SLOT_BYTES")["value"] = "40000000000"


def gpu_volume(manifests: Manifests) -> None:
    next(one for one in pod(manifests, "policy")["volumes"] if one["name"] == "agents")["emptyDir"]["sizeLimit"] = "2Gi"


@pytest.mark.parametrize(
    ("breaks", "expected"),
    [
        (gpu_memory, "its limit is 1.72e+10"),
        (gpu_slots, "of a GPU with 8e+10"),
        (gpu_volume, "Deployment policy: the volume"),
    ],
)
def test_bundles_of_the_papers_sizes_fit_the_gpu_overlay(kubectl: str, breaks: Break, expected: str) -> None:
    manifests = copy.deepcopy(Manifests.parse(render(kubectl, Combination("gpu"))))
    assert list(fits("gpu", manifests)) == []
    breaks(manifests)
    (problem,) = fits("gpu", manifests)
    assert expected in problem


@pytest.mark.parametrize(("text", "number"), [("250m", 0.25), ("8Gi", 8 * 2**30), ("2", 2.0), ("1G", 1e9), (3, 3.0)])
def test_quantities_are_read_as_kubernetes_does(text: str | int, number: float) -> None:
    assert quantity(text) == number


def test_a_patch_of_nothing_is_named_with_its_combination(kubectl: str, tmp_path: Path) -> None:
    for folder in ("base", "components", "overlays"):
        shutil.copytree(kustomize.ROOT / folder, tmp_path / folder)
    assert render(kubectl, Combination("cpu", ("tls",)), tmp_path)
    service = tmp_path / "components/tls/service.yaml"
    service.write_text(service.read_text().replace("name: policy", "name: pollicy"))
    with pytest.raises(CannotRender, match=r"cpu \+ tls: .*pollicy"):
        render(kubectl, Combination("cpu", ("tls",)), tmp_path)


def settings_classes() -> dict[str, type[BaseSettings]]:
    from services.memory.settings import MemorySettings
    from services.policy.settings import PolicySettings
    from services.retrieval.settings import RetrievalSettings

    return {"memory": MemorySettings, "policy": PolicySettings, "retrieval": RetrievalSettings}


@pytest.mark.parametrize(
    ("combination", "redis", "engine"), [(SINGLE_REDIS, "redis://", "local"), (EVERYTHING, "cluster+redis://", "triton")]
)
def test_services_accept_the_environment_that_they_are_given(
    combination: Combination, redis: str, engine: str, rendered: dict[Combination, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = Manifests.parse(rendered[combination])
    for name, kind in settings_classes().items():
        with monkeypatch.context() as environment:
            for variable, value in variables(manifests, container(manifests, name)).items():
                environment.setenv(variable, value.replace("$(REDIS_PASSWORD)", "0123abcd"))
            given = kind().model_dump()
        assert (given["metrics_listen"], given["stop_grace"], given["engine"]) == ("0.0.0.0:9464", 10.0, engine)
        assert given.get("redis_url", f"{redis}:0123abcd@redis:6379/0") == f"{redis}:0123abcd@redis:6379/0"


def test_settings_are_read_from_the_source_as_they_are(facts: Facts) -> None:
    for name, kind in settings_classes().items():
        read = {key: value for key, value in facts.services[name].settings.items() if key != "SHELM_CACHE"}
        real = {f"SHELM_{field.upper()}": info.default for field, info in kind.model_fields.items()}
        assert set(read) == set(real)
        assert all(value in (None, real[key]) for key, value in read.items())  # None: not a literal in the source


def test_metrics_are_read_from_the_source_as_they_are(facts: Facts) -> None:
    from services.runtime import cache_metrics  # noqa: F401 - registers its metrics
    from services.runtime import telemetry as shared

    shared.CALLS.labels("test", "OK")  # a metric with labels exports nothing before its first use
    shared.QUEUE_SECONDS.labels("test")
    samples = {sample.name for family in REGISTRY.collect() for sample in family.samples if sample.name.startswith("shelm_")}
    samples = {name for name in samples if not name.endswith("_created")}
    assert {"shelm_calls_total", "shelm_queue_seconds_sum"} <= samples <= facts.series


def test_a_missing_kubectl_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kustomize, "RUN", tmp_path)
    with pytest.raises(KubectlMissing, match="install kubectl"):
        find_kubectl()


def test_missing_schemas_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes_validate", None)
    with pytest.raises(SchemasMissing, match="pip install kubernetes-validate"):
        list(schema_problems({"kind": "Service", "metadata": {"name": "any"}}))
