"""How a record is written to standard error."""

import json
import subprocess
import sys

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
