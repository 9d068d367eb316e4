"""`make lint` and the hooks of pre-commit run the same."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.process import REPOSITORY

HOOKS = REPOSITORY / ".pre-commit-config.yaml"
[LOCAL] = yaml.safe_load(HOOKS.read_text())["repos"]  # nothing is fetched from elsewhere


def parts_of_lint() -> list[str]:
    """The verbs that `make lint` consists of."""
    found = re.search(r"^lint: ([a-z -]+?) *##", (REPOSITORY / "Makefile").read_text(), re.M)
    assert found
    return found[1].split()


def test_every_part_of_lint_is_a_hook_and_no_hook_is_anything_else() -> None:
    assert LOCAL["repo"] == "local"
    assert [hook["entry"] for hook in LOCAL["hooks"]] == [f"make {part}" for part in parts_of_lint()]


@pytest.mark.parametrize("hook", LOCAL["hooks"], ids=lambda hook: hook["id"])
def test_a_hook_checks_the_whole_tree_with_the_pinned_tools(hook: dict[str, Any]) -> None:
    assert hook["language"] == "system"
    assert hook["pass_filenames"] is False
    assert hook["id"] == hook["entry"].removeprefix("make ")


def test_pre_commit_accepts_its_file() -> None:
    command = [str(Path(sys.executable).with_name("pre-commit")), "validate-config", str(HOOKS)]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=60)
