"""The workflows of GitHub: against its schema, and by what is known to go wrong with them.

They cannot be run here. What they call (make, tools, the smoke script) has tests of its own.
"""

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
from support.process import REPOSITORY

BIN = Path(sysconfig.get_path("scripts"))
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
SCHEMA = [BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
AUDIT = [BIN / "zizmor", "--offline", "--no-progress", "--persona", "regular"]


def status(*command: object) -> tuple[int, str]:
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_valid_and_the_audit_finds_nothing(workflow: Path) -> None:
    for command in (SCHEMA, AUDIT):
        code, said = status(*command, workflow)
        assert code == 0, said


def test_mistakes_are_found(tmp_path: Path) -> None:
    text = WORKFLOWS[0].read_text()
    wrong = tmp_path / ".github" / "workflows" / "wrong.yml"
    wrong.parent.mkdir(parents=True)
    wrong.write_text(text.replace("runs-on:", "runs_on:"))
    assert status(*SCHEMA, wrong)[0] != 0
    wrong.write_text(re.sub(r"@[0-9a-f]{40}", "@v4", text))
    assert status(*AUDIT, wrong)[0] != 0


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_whatever_a_workflow_runs_of_ours_is_there(workflow: Path) -> None:
    text, makefile = workflow.read_text(), (REPOSITORY / "Makefile").read_text()
    lines = [re.sub(r'\w+="[^"]*"', "", line) for line in re.findall(r"\bmake ([^\n]+)", text)]
    verbs = {verb for line in lines for verb in line.split() if re.fullmatch(r"[a-z0-9-]+", verb)}
    assert not {verb for verb in verbs if not re.search(rf"^{verb}:", makefile, re.M)}
    for module in re.findall(r"python3 -m (tools\.\w+)", text):
        assert (REPOSITORY / f"{module.replace('.', '/')}.py").exists()
    for script in re.findall(r"(?<![\w/])(deploy/[\w/]+\.sh)", text):
        assert (REPOSITORY / script).stat().st_mode & 0o111
