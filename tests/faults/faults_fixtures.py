"""One stack for the tests that kill services, two replicas, and the undisturbed episodes that theirs are compared with."""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence

import grpc
import pytest
from faults_episodes import Outcome, Plan, plans, play_undisturbed
from faults_replicas import Replica
from faults_serve import Serve, serving
from shelm import ShelmError, transport
from shelm.status import error_from_call
from support.deployment import RedisProcess
from support.frames import Frame

COUNT = 8


@pytest.fixture(scope="session")
def shared_serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A stack that outlives the tests, because everything in it is started again."""
    with serving(tmp_path_factory.mktemp("serve") / "run") as serve:
        yield serve


@pytest.fixture
def serve(shared_serve: Serve) -> Serve:
    """The stack, ready."""
    assert shared_serve.alive, shared_serve.errors
    shared_serve.wait_serving()
    return shared_serve


@pytest.fixture(scope="session")
def episode_plans(frames: Sequence[Frame]) -> list[Plan]:
    """Eight different episodes; those with an even number are deterministic, the others drawn."""
    return plans(frames, COUNT)


@pytest.fixture(scope="session")
def undisturbed(shared_serve: Serve, episode_plans: list[Plan]) -> list[list[Outcome]]:
    """What comes of the episodes when nothing happens."""
    with shared_serve.client(retry_for=0) as client:
        found = play_undisturbed(client, episode_plans, f"undisturbed:{uuid.uuid4().hex}")
    for outcomes in found:
        assert len({outcome.words for outcome in outcomes}) > 1, "with one word only, nothing could go wrong"
    assert any(len({outcome.action for outcome in outcomes}) > 1 for outcomes in found[1::2])
    return found


@pytest.fixture(scope="session")
def replica_redis(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[RedisProcess]:
    """The Redis that both replicas use."""
    redis = RedisProcess(tmp_path_factory.mktemp("replicas"))
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture(scope="session")
def replicas(tmp_path_factory: pytest.TempPathFactory, replica_redis: RedisProcess) -> Iterator[tuple[Replica, Replica]]:
    """Two replicas that serve."""
    folder = tmp_path_factory.mktemp("lives")
    both = Replica(folder / "one", replica_redis.url), Replica(folder / "other", replica_redis.url)
    try:
        for replica in both:
            replica.wait_serving()
        yield both
    finally:
        for replica in both:
            replica.stop()


@pytest.fixture
def errors_met(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Code and reason of every error that any attempt of a client in this process has met."""
    met: Counter[tuple[str, str]] = Counter()

    def counting(failure: grpc.RpcError, *, target: str) -> ShelmError:
        error = error_from_call(failure, target=target)
        met[error.code.name, error.reason] += 1
        return error

    monkeypatch.setattr(transport, "error_from_call", counting)
    return met
