"""The examples in the client's README are run, as they stand there, on real services. Those in docs/ are tests/docs's."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.deployment import Deployment
from support.fenced import blocks_of
from support.process import REPOSITORY, environment_with

README = REPOSITORY / "clients" / "python" / "README.md"
ADDRESS = "127.0.0.1:50051"
SECONDS = 180.0
EXAMPLES = [block.code for block in blocks_of(README) if block.language == "python"]


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_in_python_runs(deployment: Deployment, tmp_path: Path, code: str) -> None:
    assert ADDRESS in code
    command = [sys.executable, "-c", code.replace(ADDRESS, deployment.target)]
    settings = environment_with({"SHELM_TARGET": deployment.target})
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
