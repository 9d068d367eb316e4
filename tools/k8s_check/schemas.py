"""Strict validation against the Kubernetes schemas: unknown fields and wrong types are errors.

Contract: uses the oldest version that supports all features in the manifests (sidecars, the `sleep` hook), and the newest
one. Of KEDA's ScaledObject the fields of version 2 are known here; what it passes on to an autoscaler is validated as one.
Failure policy: SchemasMissing if the package is not installed; a kind without a schema is an error unless it is a known
custom resource.
"""

import importlib
from collections.abc import Iterator

from tools.k8s_check.manifests import Object

VERSIONS = ("1.30", "1.37")
CUSTOM = frozenset({"PodMonitor", "PrometheusRule"})  # of the Prometheus operator; checked by our own rules


class SchemasMissing(RuntimeError):  # noqa: N818
    """The package with the schemas is not installed."""


def _fields(required: list[str], **fields: Object) -> Object:
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


_TEXT, _COUNT, _FLAG, _ANY = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}, {"type": "object"}
SCALED_OBJECT = _fields(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledObject"},
    metadata=_ANY,
    spec=_fields(
        ["scaleTargetRef", "triggers"],
        scaleTargetRef=_fields(["name"], apiVersion=_TEXT, kind=_TEXT, name=_TEXT, envSourceContainerName=_TEXT),
        pollingInterval=_COUNT,
        cooldownPeriod=_COUNT,
        initialCooldownPeriod=_COUNT,
        minReplicaCount=_COUNT,
        maxReplicaCount=_COUNT,
        idleReplicaCount=_COUNT,
        fallback=_ANY,
        triggers={
            "type": "array",
            "minItems": 1,
            "items": _fields(
                ["type", "metadata"],
                type=_TEXT,
                name=_TEXT,
                metricType={"enum": ["AverageValue", "Value", "Utilization"]},
                useCachedMetrics=_FLAG,
                authenticationRef=_ANY,
                metadata={"type": "object", "additionalProperties": _TEXT},  # numbers are texts too
            ),
        },
        advanced=_fields(
            [],
            restoreToOriginalReplicaCount=_FLAG,
            horizontalPodAutoscalerConfig=_fields([], name=_TEXT, behavior=_ANY),
            scalingModifiers=_ANY,
        ),
    ),
)


def _autoscaler(scaled: Object) -> Object:
    """The autoscaler that KEDA makes of a ScaledObject, but for its metrics."""
    spec = scaled["spec"]
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": scaled["metadata"],
        "spec": {
            "scaleTargetRef": spec["scaleTargetRef"],
            "minReplicas": spec.get("minReplicaCount", 0),
            "maxReplicas": spec.get("maxReplicaCount", 100),
            "behavior": spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {}),
        },
    }


def schema_problems(one: Object) -> Iterator[str]:
    """Returns the problems of one object; for each version only the first."""
    if one["kind"] in CUSTOM:
        return
    try:
        # Not a dependency of anything that serves, and without types.
        schemas = importlib.import_module("kubernetes_validate")
        jsonschema = importlib.import_module("jsonschema")
    except ImportError:
        raise SchemasMissing("no schemas: pip install kubernetes-validate==1.37.0") from None
    if one["kind"] == "ScaledObject":
        error = next(jsonschema.Draft202012Validator(SCALED_OBJECT).iter_errors(one), None)
        if error:
            place = ".".join(str(part) for part in error.path)
            yield f"ScaledObject {one['metadata']['name']}: {place}: {error.message} (KEDA 2)"
            return
        one = _autoscaler(one)
    for version in VERSIONS:
        try:
            schemas.validate(one, version, strict=True)
        except schemas.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            yield f"{one['kind']} {one['metadata']['name']}: {place}: {error.message} (Kubernetes {version})"
        except schemas.SchemaNotFoundError:
            yield f"{one['kind']} {one['metadata']['name']}: Kubernetes {version} knows no {one['apiVersion']} {one['kind']}"
