"""Running services for the tests, each started once a session and only if a test asks for it.

A test that takes `deployment` (or what is built on it) runs once for every way of deploying. When it fails, the end of
the services' logs is part of the report.
"""

import os
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.deployment import Deployment, Standalone
from support.frames import Frame, collect_frames
from support.gateway import Gateway
from support.ways import DEPLOYMENTS

UNIT = Path(__file__).parent / "unit"
ORDINARY = {"standalone", "processes"}  # ways that may run beside one another
# Limits so small that a test can reach them.
CRAMPED = {
    "SHELM_RETAINED_STEPS": "64",
    "SHELM_EPISODE_TTL": "10",
    "SHELM_SLOTS": "2",
    "SHELM_MAX_IN_FLIGHT": "6",
    "SHELM_MAX_BATCH_ITEMS": "6",
    "SHELM_MAX_WATCHERS": "2",
    "SHELM_MAX_EPISODE_QUEUE": "2",
    "SHELM_MAX_LISTINGS": "2",
}


@pytest.fixture(scope="session")
def _no_settings() -> Iterator[None]:
    """No SHELM_* variable of the caller's shell reaches a server."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SHELM_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def frames() -> tuple[Frame, ...]:
    """96 different MiniGrid frames."""
    return collect_frames(96)


@pytest.fixture(scope="session")
def _started(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Callable[[str], Deployment]]:
    """Starts a way of deploying at its first use. Those of ordinary processes run on until the session ends, because each
    file of tests goes through all ways; of the others, one at a time has the network or the memory of the machine.
    """
    with ExitStack() as kept, ExitStack() as other:
        running: dict[str, Deployment] = {}

        def start(way: str) -> Deployment:
            if way not in running:
                if way not in ORDINARY:
                    other.close()
                    for name in running.keys() - ORDINARY:
                        del running[name]
                stack = kept if way in ORDINARY else other
                running[way] = stack.enter_context(DEPLOYMENTS[way](tmp_path_factory.mktemp(way)).running())
            return running[way]

        yield start


@pytest.fixture(scope="session", params=list(DEPLOYMENTS))
def deployment(request: pytest.FixtureRequest, _started: Callable[[str], Deployment]) -> Deployment:
    """The services, deployed in each way."""
    return _started(request.param)


@pytest.fixture
def gateway(deployment: Deployment) -> Gateway:
    """The public API of the deployment."""
    return deployment.gateway


@pytest.fixture(scope="session")
def replica(deployment: Deployment) -> Iterator[Gateway]:
    """A second process with a public gateway on the same Redis."""
    with deployment.replica() as other:
        yield other


@pytest.fixture(scope="session")
def cramped(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Deployment]:
    """A server whose limits are small; see CRAMPED."""
    with Standalone(tmp_path_factory.mktemp("cramped"), CRAMPED).running() as running:
        yield running


@pytest.fixture
def name() -> str:
    """A fresh episode_id."""
    return f"test:{uuid.uuid4().hex}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything beside tests/unit starts servers, so it is slow; in tests/unit a test says so itself."""
    for item in items:
        if UNIT not in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Adds the services' logs to the report of a failure."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Deployment):
                report.sections.append((f"logs of {value.name}", value.logs()))
    return report
