"""How a record is written to standard error."""

import json
import logging
import subprocess
import sys

import pytest
from support.process import REPOSITORY, environment_with

from services.runtime.logs import Sparse

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


def test_what_happens_again_and_again_is_logged_once_and_then_with_how_many_there_were(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("services.runtime.logs.time.monotonic", lambda: now)
    sparse = Sparse(logging.getLogger("ours"), every=10, most=3)
    for _ in range(5):
        sparse.error("one", "one failed")
    sparse.error("other", "other failed")
    assert [record.getMessage() for record in caplog.records] == ["one failed", "other failed"]
    now = 111.0
    sparse.error("one", "one failed")
    assert caplog.records[-1].getMessage() == "one failed (and 4 more since the last such line)"
    for kind in range(1000):
        sparse.error(kind, "many kinds")
    assert len(sparse._kinds) <= 3
