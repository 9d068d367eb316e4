"""The demo's episodes, seeds 0 to 9: the words and actions are those that were recorded at commit 4c542ab.

Whatever is changed in the engines or around them, the shipped agent remembers and does the same. A change that is meant to
alter this records tests/golden/demo/episodes.json again and says why.
"""

import json
import re
import subprocess
import sys

import pytest
from support.deployment import Deployment
from support.process import REPOSITORY

GOLDEN = json.loads((REPOSITORY / "tests/golden/demo/episodes.json").read_text())
LINE = re.compile(r"\s*\d+\s+(\S.*?) \([\d.-]+\)\s+-> (\w+)")


@pytest.mark.parametrize("mode", sorted(GOLDEN))
def test_words_and_actions_are_those_that_were_recorded(deployment: Deployment, mode: str) -> None:
    options = [
        "--episodes",
        str(len(GOLDEN[mode])),
        "--target",
        deployment.target,
        *["--deterministic"] * (mode == "greedy"),
    ]
    played = subprocess.run(
        [sys.executable, "-m", "shelm.cli", "play", *options], capture_output=True, text=True, timeout=240, check=True
    )
    episodes: list[list[str]] = []
    for line in played.stdout.splitlines():
        if line.startswith("episode ") and "return" not in line:
            episodes.append([])
        elif found := LINE.match(line):
            episodes[-1].append(f"{found[1]} -> {found[2]}")
    assert episodes == GOLDEN[mode]
