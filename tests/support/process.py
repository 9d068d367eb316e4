"""Child processes of the tests, with their output in files."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
STOP_SECONDS = 30.0


class Process:
    """One child process whose output goes to a file."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log_path = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=REPOSITORY, env=environment_with(environment or {})
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child.poll() is None

    @property
    def exit_status(self) -> int | None:
        """How it has ended; None while it runs."""
        return self._child.poll()

    def stop(self) -> None:
        """Ends it in good order if it can, and in any case."""
        if self.alive:
            self._child.send_signal(signal.SIGCONT)
            self._child.terminate()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Ends it at once."""
        self._child.kill()
        self._child.wait()


def environment_with(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process with these SHELM_* settings and no other."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("SHELM_")}, **settings}


def tail(path: Path, count: int) -> str:
    """The last lines of a file."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
