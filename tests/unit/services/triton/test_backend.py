"""The engines that run inside Triton, without Triton: what they answer, and that warming up leaves no trace."""

from typing import Any

import numpy as np
import pytest
from support.process import REPOSITORY

from agent.bundle import AgentBundle, load_bundle
from agent.history import empty_history, extend_history
from services.triton.backend import Act, check_numpy
from services.triton.models import Op, Status, read_counts

PARAMETERS = {"slots": "2", "slot_bytes": str(2**30), "cache_frames": "4"}


@pytest.fixture(scope="module")
def bundle() -> AgentBundle:
    return load_bundle(REPOSITORY / "models/minigrid-memory")


@pytest.fixture
def act(bundle: AgentBundle) -> Act:
    engine = Act(bundle, "cpu", PARAMETERS)
    engine.warm_up()
    return engine


def asked(bundle: AgentBundle, episodes: list[str], *, step: int = 0, digest: bytes = b"", **more: Any) -> dict[str, Any]:
    """The inputs of an Act of each episode, whose frames are all of one number."""
    size, count = bundle.manifest.observation, len(episodes)
    history = np.frombuffer(digest or empty_history(bundle.digest), np.uint8)
    return {
        "OP": np.full((count, 1), Op.ACT, np.uint8),
        "EPISODE": np.array([[name.encode()] for name in episodes], np.object_),
        "STEP": np.full((count, 1), step, np.int64),
        "DIGEST": np.tile(history, (count, 1)),
        "FRAME": np.stack([np.full((size.height, size.width, 3), 40 * i, np.uint8) for i in range(count)]),
        **more,
    }


def counts(engine: Act) -> Any:
    return read_counts(engine.run({"OP": np.array([[Op.COUNTS]], np.uint8)})["COUNTS"][0])


def test_warming_up_leaves_no_trace(act: Act) -> None:
    assert (counts(act).used, counts(act).hits, counts(act).rebuilds) == (0, 0, 0)


def test_a_step_and_its_rebuild_give_the_same(act: Act, bundle: AgentBundle) -> None:
    first = act.run(asked(bundle, ["a"]))
    digest = extend_history(empty_history(bundle.digest), first["ROWS"][0].tolist())
    second = act.run(asked(bundle, ["a"], step=1, digest=digest))
    other = Act(bundle, "cpu", PARAMETERS)
    missed = other.run(asked(bundle, ["a"], step=1, digest=digest))
    assert (missed["STATUS"][0, 0], missed["NEEDED"][0, 0]) == (Status.SLOT_MISS, 1)
    assert "VALUE" not in missed
    rebuilt = other.run(asked(bundle, ["a"], step=1, digest=digest, PAST=first["ROWS"]))
    assert rebuilt["STATUS"][0, 0] == Status.DONE
    assert rebuilt["ROWS"].tolist() == second["ROWS"].tolist()
    np.testing.assert_allclose(rebuilt["PARAMETERS"], second["PARAMETERS"], atol=1e-4)
    np.testing.assert_allclose(rebuilt["VALUE"], second["VALUE"], atol=1e-4)


def test_a_miss_is_the_answer_of_its_own_episode_alone(act: Act, bundle: AgentBundle) -> None:
    alone = act.run(asked(bundle, ["a", "b"]))
    digest = extend_history(empty_history(bundle.digest), alone["ROWS"][1].tolist())
    both = act.run(asked(bundle, ["unknown", "b"], step=1, digest=digest))
    assert both["STATUS"][:, 0].tolist() == [Status.SLOT_MISS, Status.DONE]
    assert not both["PARAMETERS"][0].any()
    assert both["PARAMETERS"][1].any()


def test_a_history_of_the_wrong_length_is_refused_with_its_reason(act: Act, bundle: AgentBundle) -> None:
    k = bundle.manifest.retrieval.k
    answer = act.run(asked(bundle, ["a"], step=2, digest=bytes(16), PAST=np.zeros((1, k), np.int32)))
    assert answer["STATUS"][0, 0] == Status.REFUSED
    assert b"history: expected" in answer["ERROR"][0, 0]


@pytest.mark.parametrize(
    ("release", "numpy", "good"),
    [("", "1.26.4", True), ("", "2.4.6", False), ("24.12", "2.4.6", False), ("25.07", "2.4.6", True)],
)
def test_numpy_2_needs_a_triton_that_takes_it(monkeypatch: pytest.MonkeyPatch, release: str, numpy: str, good: bool) -> None:
    monkeypatch.setattr(np, "__version__", numpy)
    if good:
        check_numpy(release)
    else:
        with pytest.raises(RuntimeError, match="needs numpy 1"):
            check_numpy(release)
