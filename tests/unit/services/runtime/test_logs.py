"""How a record is written to standard error, and that bad settings of logs and traces stop the start."""

import json
import subprocess
import sys

import pytest
from support.process import REPOSITORY, environment_with

PROGRAM = """
import logging, warnings
from services.runtime.logs import configure_logging, in_episode
configure_logging("test", "INFO", {form!r})
in_episode("an:episode", 3)
warnings.warn("a library's warning")
logging.getLogger("ours").debug("not told")
try:
    raise ValueError("two\\nlines")
except ValueError:
    logging.getLogger("ours").exception("it %s", "failed")
"""


def stderr(form: str) -> str:
    command = [sys.executable, "-c", PROGRAM.format(form=form)]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment_with({}), capture_output=True, text=True, check=True
    ).stderr


def test_a_traceback_stays_in_its_line() -> None:
    warning, failure = map(json.loads, stderr("json").splitlines())
    assert "a library's warning" in warning["message"]
    assert (failure["level"], failure["logger"], failure["message"]) == ("ERROR", "ours", "it failed")
    assert (failure["episode_id"], failure["step"]) == ("an:episode", 3)
    assert "ValueError: two\nlines" in failure["exc_info"]


def test_text_is_for_people() -> None:
    said = stderr("text")
    assert "test ERROR ours: it failed\nTraceback" in said
    assert "not told" not in said


def test_an_unknown_form_stops_the_start() -> None:
    command = [sys.executable, "-m", "services.retrieval"]
    result = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment_with({"SHELM_LOG_FORMAT": "xml"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("SHELM_LOG_FORMAT: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SHELM_TRACES", "collector"), ("SHELM_TRACES", "http://collector"), ("SHELM_TRACES_RATIO", "1.5")],
)
def test_bad_settings_of_the_traces_stop_the_start(variable: str, value: str) -> None:
    command = [sys.executable, "-m", "services.retrieval"]
    result = subprocess.run(
        command, cwd=REPOSITORY, env=environment_with({variable: value}), capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr.partition(":")[0]) == (2, variable)
