"""Facts in the services' code that manifests must agree with: settings, health names, metrics.

They are read from the source without running it, so that manifests can be checked without torch. Failure policy: ValueError
if no settings or health name of a service are found, which means that the code's structure has changed and this module must
be adapted.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PREFIX = "SHELM_"
# Suffixes of the exported series of each metric type of the Prometheus client.
_SUFFIXES = {
    "Counter": ("_total",),
    "CounterMetricFamily": ("_total",),
    "Gauge": ("",),
    "GaugeMetricFamily": ("",),
    "Histogram": ("_bucket", "_sum", "_count"),
    "Summary": ("_sum", "_count"),
}
_READS = re.compile(rf"os\.environ(?:\.get\(|\[)\"({PREFIX}\w+)\"")


@dataclass(frozen=True)
class Service:
    """One service. settings: variable -> default (None if it is not a literal). health: names in its health checks."""

    settings: dict[str, Any]
    health: frozenset[str]


@dataclass(frozen=True)
class Facts:
    """All services, and the metrics that they export."""

    services: dict[str, Service]
    series: frozenset[str]


def read_facts(root: Path = ROOT) -> Facts:
    """Reads every service that can be started (`__main__.py`), its computation, and the shared code."""
    sources = {path: path.read_text() for folder in ("services", "agent") for path in sorted((root / folder).rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in sources.items()}
    classes = {node.name: node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    services = {}
    for main in (root / "services").glob("*/__main__.py"):
        own = {path: tree for path, tree in trees.items() if path.parent == main.parent}
        settings = {k: v for name in _settings_classes(own.values()) for k, v in _fields(name, classes).items()}
        shared = [text for path, text in sources.items() if path.parent.name in (main.parent.name, "runtime")]
        settings |= {name: None for text in shared for name in _READS.findall(text)}
        services[main.parent.name] = Service(settings, frozenset({"", *_health(own.values())}))
    return Facts(_checked(services), frozenset(name for tree in trees.values() for name in _series(tree)))


def _checked(services: dict[str, Service]) -> dict[str, Service]:
    for name in ("retrieval", "memory", "policy"):
        if name not in services or not services[name].settings or len(services[name].health) < 2:
            raise ValueError(f"services/{name}: settings or health names are not where this check looks for them")
    return services


def _settings_classes(trees: Any) -> Iterator[str]:
    for tree in trees:
        yield from (n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name.endswith("Settings"))


def _fields(name: str, classes: dict[str, ast.ClassDef]) -> dict[str, Any]:
    """Returns the fields of a settings class and its bases, as variables."""
    if name not in classes:
        return {}
    found: dict[str, Any] = {}
    for base in classes[name].bases:
        found |= _fields(base.id, classes) if isinstance(base, ast.Name) else {}
    for node in classes[name].body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[PREFIX + node.target.id.upper()] = _default(node.value)
    return found


def _default(value: ast.expr | None) -> Any:
    if isinstance(value, ast.Call) and value.args:  # Field(default, ...)
        value = value.args[0]
    return value.value if isinstance(value, ast.Constant) else None


def _health(trees: Any) -> Iterator[str]:
    """Returns the keys of `services={...}` in calls of GrpcServer, which are the names in its health checks."""
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "services" and isinstance(node.value, ast.Dict):
                yield from (str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))


def _series(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SUFFIXES and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield from (name.value.removesuffix("_total") + suffix for suffix in _SUFFIXES[node.func.id])
