"""The services on a device: one process or three, a Redis, the paper's sizes and the shipped agent, in a closed loop."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agent.bundle import AgentBundle
from benchmarks.deployments import behind_triton, record_frames, redis_server, standalone, three_processes
from benchmarks.load import Clients, Plan, phase
from benchmarks.load_client import Load

Row = dict[str, Any]
SLOT_BYTES = str(3 * 2**33)  # of each of the deployments, which hold them at the same time


def service_rows(
    bundles: Sequence[AgentBundle], *, device: str, dtype: str, episodes: Sequence[int], seconds: float, triton: bool
) -> Iterator[Row]:
    """Measures every bundle with cached words; rows as those of benchmarks.load, with `bundle` and `deployment`."""
    plan = Plan(seconds=seconds, warm=seconds / 2)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        redis_at = running.enter_context(redis_server(folder))
        clients = Clients(record_frames(60), max(2, (os.cpu_count() or 1) // 4))
        running.callback(clients.close)
        for bundle in bundles:
            common = {"SHELM_AGENTS": str(bundle.folder), "SHELM_DTYPE": dtype, "SHELM_DEVICE": device}
            settings = {**common, "SHELM_SLOT_BYTES": SLOT_BYTES, "SHELM_MAX_BATCH": "512", "SHELM_MAX_IN_FLIGHT": "2048"}
            with ExitStack() as one:
                deployments = [
                    one.enter_context(way(folder, redis_at, settings, name=f"{name} {bundle.name}"))
                    for name, way in (("standalone", standalone), ("processes", three_processes))
                ]
                for models in ("act", "parts") if triton else ():
                    triton_way = {"bundle": str(bundle.folder), "device": "cpu" if device == "cpu" else "gpu"}
                    triton_way |= {"models": models, "name": f"behind triton ({models})"}
                    deployments.append(one.enter_context(behind_triton(folder, redis_at, settings, **triton_way)))
                for count in episodes:
                    for deployment in deployments:

                        def work(target: str = deployment.target, count: int = count) -> Load:
                            return clients.closed(target, count, plan)

                        found = phase(deployment, work)
                        yield {"bundle": bundle.name, "deployment": deployment.name, "episodes": count, **found}
