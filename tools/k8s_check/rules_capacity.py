"""Do overlays fit the machines that they are for? Each rule yields problems as text.

`laptop`: what its pods request fits a node of 4 cores and 8 GB beside Kubernetes itself. `gpu`: two bundles of the paper's
sizes fit, the second one following the first in running services. With S = what retrieval, memory and policy take together
(measured by benchmarks.capacity), once as models of their own and once in `act`, Triton takes

    bundles x (2 S + 2 HOST_BYTES) + /dev/shm + server

of memory, and bundles x (2 S + SLOT_BYTES) of a GPU of 80 GB: one of the models `act` and `memory` is used, with its slots,
and weights are less than what the services take. Each volume `agents` holds both bundles.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.k8s_check.manifests import Manifests, Object, Workload, variables

MEASURED = Path(__file__).parents[2] / "docs" / "results" / "raw" / "performance" / "capacity.json"
LAPTOP = {"cpu": 4.0, "memory": 8e9}
OF_KUBERNETES = {"cpu": 1.0, "memory": 1e9}  # its own pods, and what a node reserves
BUNDLES = 2
BUNDLE = 1.8e9  # bytes of the paper's agent with its models on disk, docs/paper-agent.md
SERVER = 0.5e9  # bytes of Triton itself
GPU = 80e9
SUFFIXES = {"m": 1e-3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "k": 1e3, "M": 1e6, "G": 1e9}


def fits(overlay: str, manifests: Manifests) -> Iterator[str]:
    """The rule of an overlay, if it has one; manifests of the overlay without further components."""
    if overlay == "laptop":
        for name, there in LAPTOP.items():
            wanted = sum(_requested(workload, name) for workload in manifests.workloads)
            if wanted > there - OF_KUBERNETES[name]:
                yield f"laptop: requests {wanted:.3g} of {name}, of which a node has {there:g} - {OF_KUBERNETES[name]:g}"
    if overlay == "gpu":
        yield from _paper(manifests, json.loads(MEASURED.read_text())["resident_paper"])


def quantity(text: Any) -> float:
    """A quantity of Kubernetes, such as 250m or 8Gi."""
    found = next((suffix for suffix in SUFFIXES if str(text).endswith(suffix)), "")
    return float(str(text).removesuffix(found)) * SUFFIXES.get(found, 1.0)


def _requested(workload: Workload, name: str) -> float:
    """What the scheduler counts: all containers that last together, or one that runs before them if that is more."""
    lasting = [quantity(one["resources"]["requests"][name]) for one in workload.lasting]
    first = [quantity(one["resources"]["requests"][name]) for one in workload.containers]
    count: float = workload.spec.get("replicas", 1)
    return count * max(sum(lasting), *first)


def _paper(manifests: Manifests, measured: dict[str, float]) -> Iterator[str]:
    services = measured["retrieval"] + measured["memory"] + measured["policy"]
    for workload in manifests.workloads:
        volume = next((one for one in workload.pod.get("volumes", []) if one["name"] == "agents"), None)
        if volume and quantity(volume["emptyDir"]["sizeLimit"]) < BUNDLES * BUNDLE:
            yield f"gpu: {workload}: the volume agents is smaller than {BUNDLES} bundles of the paper's sizes"
        if workload.name == "triton":
            yield from _triton(manifests, workload, services)


def _triton(manifests: Manifests, triton: Workload, services: float) -> Iterator[str]:
    containers: dict[str, Object] = {one["name"]: one for one in triton.containers}
    given = variables(manifests, containers["repository"])
    shared = next(quantity(one["emptyDir"]["sizeLimit"]) for one in triton.pod["volumes"] if one["name"] == "shm")
    memory = BUNDLES * (2 * services + 2 * float(given["HOST_BYTES"])) + shared + SERVER
    limit = quantity(containers["triton"]["resources"]["limits"]["memory"])
    if memory > limit:
        yield f"gpu: {triton}: {BUNDLES} bundles of the paper's sizes take {memory:.3g} bytes, its limit is {limit:.3g}"
    if (device := BUNDLES * (2 * services + float(given["SLOT_BYTES"]))) > GPU:
        yield f"gpu: {triton}: {BUNDLES} bundles of the paper's sizes take {device:.3g} bytes of a GPU with {GPU:.3g}"
