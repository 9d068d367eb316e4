"""The shell scripts of deployments, linted."""

import subprocess
import sysconfig
from pathlib import Path

from support.process import REPOSITORY

LINTER = Path(sysconfig.get_path("scripts")) / "shellcheck"


def test_the_linter_finds_nothing_in_our_scripts_and_a_mistake_in_another(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.sh"
    wrong.write_text("#!/bin/sh\ncat $1\n")
    scripts = sorted((REPOSITORY / "deploy").rglob("*.sh"))
    assert scripts
    found = [subprocess.run([LINTER, *files], capture_output=True, text=True, check=False) for files in (scripts, [wrong])]
    assert [one.returncode for one in found] == [0, 1], found[0].stdout
