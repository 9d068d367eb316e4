"""The README's example runs as it stands there, against a server at another address."""

import re
import subprocess
import sys

from support.deployment import Deployment
from support.process import REPOSITORY


def test_the_example_plays_an_episode_and_prints_its_words(deployment: Deployment) -> None:
    found = re.search(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert found
    code = found.group(1)
    assert "127.0.0.1:50051" in code
    result = subprocess.run(
        [sys.executable, "-c", code.replace("127.0.0.1:50051", deployment.target)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert re.match(r"\['[a-z]+ 0\.\d\d'\] [0-6]\n", result.stdout)
