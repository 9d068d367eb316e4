"""The same evaluation through a server and in the process of a training: the same file."""

import json
from pathlib import Path

import pytest
from shelm.cli import main as shelm
from support.deployment import Deployment

from training import evaluate

BUNDLE = Path(__file__).parents[2] / "models/minigrid-memory"
S11 = "MiniGrid-MemoryS11-v0"
COMMON = ["--env", S11, "--starts", "distinct", "--greedy", "--out"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evaluation in this process."""
    out = tmp_path_factory.mktemp("trained") / "trained.json"
    evaluate.main(["--bundle", str(BUNDLE), *COMMON, str(out)])
    return out


def test_an_agent_earns_through_a_server_what_it_earns_in_process(
    deployment: Deployment, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = tmp_path / "served.json"
    assert shelm(["evaluate", "--target", deployment.target, "--envs", "12", *COMMON, str(served)]) == 0
    printed = capsys.readouterr().out.splitlines()
    found = json.loads(served.read_text())
    assert found == json.loads(trained.read_text())
    [agent] = found["agents"]
    assert (agent["episodes"], agent["starts"], found["starts_by"]) == (32, 32, "state")
    assert len({row["return"] for row in agent["rows"]}) > 3, "episodes of different lengths, so order and seeds matter"
    assert printed[1].startswith(f"{BUNDLE.name}  32        32")
