"""Strict validation against the Kubernetes schemas: unknown fields and wrong types are errors.

Contract: uses the oldest version that supports all features in the manifests (sidecars, the `sleep` hook), and the newest
one. Failure policy: SchemasMissing if the package is not installed; a kind without a schema is an error unless it is a known
custom resource.
"""

import importlib
from collections.abc import Iterator

from tools.k8s_check.manifests import Object

VERSIONS = ("1.30", "1.37")
CUSTOM = frozenset({"PodMonitor", "PrometheusRule"})  # of the Prometheus operator; checked by our own rules


class SchemasMissing(RuntimeError):  # noqa: N818
    """The package with the schemas is not installed."""


def schema_problems(one: Object) -> Iterator[str]:
    """Returns the problems of one object; for each version only the first."""
    if one["kind"] in CUSTOM:
        return
    try:
        # Not a dependency of anything that serves, and without types.
        schemas = importlib.import_module("kubernetes_validate")
    except ImportError:
        raise SchemasMissing("no schemas: pip install kubernetes-validate==1.37.0") from None
    for version in VERSIONS:
        try:
            schemas.validate(one, version, strict=True)
        except schemas.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            yield f"{one['kind']} {one['metadata']['name']}: {place}: {error.message} (Kubernetes {version})"
        except schemas.SchemaNotFoundError:
            yield f"{one['kind']} {one['metadata']['name']}: Kubernetes {version} knows no {one['apiVersion']} {one['kind']}"
