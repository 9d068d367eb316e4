import subprocess
import sys

import pytest
from support.process import REPOSITORY

from deploy.local import stack


class _Draws:
    def __init__(self, *ports: int) -> None:
        self._ports = iter(ports)

    def randrange(self, *_: int) -> int:
        return next(self._ports)


def test_a_port_that_was_given_is_not_given_again_although_nothing_listens_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    given = stack.free_port()
    monkeypatch.setattr(stack, "_RANDOM", _Draws(given, given, given + 20_000))
    assert stack.free_port() == given + 20_000


@pytest.mark.slow
def test_a_port_is_given_again_when_the_process_that_had_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "from deploy.local.stack import free_port; print(free_port())"]
    port = int(subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout)
    monkeypatch.setattr(stack, "_RANDOM", _Draws(port))
    assert stack.free_port() == port
