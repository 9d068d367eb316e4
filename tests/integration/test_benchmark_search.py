"""The benchmark of finding episodes, on few of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.process import REPOSITORY


@pytest.mark.long
def test_the_benchmark_asks_every_question_and_finds_what_was_made(tmp_path: Path) -> None:
    file = tmp_path / "search.json"
    command = [sys.executable, "-m", "benchmarks.search", "--quick", "--json", str(file)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, timeout=280)
    result = json.loads(file.read_text())
    found = {row["question"]: row["found"] for row in result["questions"]}
    assert found.pop("saw a word that nobody saw") == 0
    assert min(found.values()) > 0
    assert found["compare success with failure"] == result["archived"] + result["ended"]
    assert 50 < result["index"]["redis_bytes_per_episode"] < 200
