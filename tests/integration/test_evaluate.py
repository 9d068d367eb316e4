"""The same evaluation through a server and in the process of a training: the same file."""

import json
from pathlib import Path

import pytest
from shelm.cli import main as shelm
from support.deployment import Deployment

from training import evaluate

BUNDLE = Path(__file__).parents[2] / "models/minigrid-memory"
S11 = "MiniGrid-MemoryS11-v0"


def test_an_agent_earns_through_a_server_what_it_earns_in_process(
    deployment: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served, trained = tmp_path / "served.json", tmp_path / "trained.json"
    common = ["--env", S11, "--starts", "distinct", "--greedy", "--out"]
    assert shelm(["evaluate", "--target", deployment.target, "--envs", "12", *common, str(served)]) == 0
    printed = capsys.readouterr().out.splitlines()
    evaluate.main(["--bundle", str(BUNDLE), *common, str(trained)])
    found = json.loads(served.read_text())
    assert found == json.loads(trained.read_text())
    [agent] = found["agents"]
    assert (agent["episodes"], agent["starts"], found["starts_by"]) == (32, 32, "state")
    assert len({row["return"] for row in agent["rows"]}) > 3, "episodes of different lengths, so order and seeds matter"
    assert printed[1].startswith(f"{BUNDLE.name}  32        32")
