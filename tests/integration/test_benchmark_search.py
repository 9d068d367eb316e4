"""The benchmarks of finding episodes, on few of them."""

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


@pytest.mark.long
def test_the_benchmark_of_a_bucket_counts_what_a_start_asks(tmp_path: Path) -> None:
    file = tmp_path / "bucket.json"
    command = [sys.executable, "-m", "benchmarks.bucket", "--quick", "--json", str(file)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, timeout=280)
    asked = {
        row["start"]: (row["episodes_read"], row["requests"]["median"]) for row in json.loads(file.read_text())["starts"]
    }
    assert asked["no index in the bucket"][0] == asked["the first that keeps one there"][0] == 60
    assert asked["no index in the bucket"][1] > 60
    assert asked["an index that has all"][0] == 0
    assert asked["an index that has all"][1] < 10
    assert asked["an index that lacks 5"][0] == 5
