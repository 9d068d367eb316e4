"""`python faults_server.py FOLDER`: services.standalone that dies where it is told to. A program of the tests alone.

Contract: each life is a fork of a process that has imported everything, so the next one begins within a second or two. The
file `FOLDER/armed` names the point at which lives end, if there is one; `FOLDER/deaths` gets a line with the point for each;
`FOLDER/life.pid` names the running life. A life that ends in any way, SIGTERM included, is followed by another until the
program itself gets SIGTERM. Nothing of the product knows of any of this: the points are put around its methods here.

Points, in the order in which an Act passes them: `computed` (before the commit), `committing` (Redis has been asked, and has
not answered), `committed` (Redis has answered), `answered` (the reply is made, and not sent).
"""

import asyncio
import ctypes
import os
import random
import signal
import sys
import types
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from services.policy.pipeline import Pipeline
from services.policy.service import AgentServicer
from services.runtime.start import run, start_process
from services.standalone.serve import main as serve
from services.standalone.settings import StandaloneSettings
from services.store.episodes import EpisodeStore

CHANCE = 0.15  # of each passage of the armed point, to be the last
FOLDER = Path(sys.argv[1])


class Points:
    """Where this life may end."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def passed(self, point: str) -> None:
        """Dies here, if the point is armed and chance has it."""
        if self.chosen(point):
            with (FOLDER / "deaths").open("a") as deaths:
                deaths.write(f"{point}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def chosen(self, point: str) -> bool:
        """Whether this passage is the last."""
        armed = FOLDER / "armed"
        return armed.exists() and armed.read_text() == point and self._draw.random() < CHANCE

    def install(self) -> None:
        """Puts the points around what an Act passes."""
        after: list[tuple[type, str, str]] = [
            (Pipeline, "compute", "computed"),
            (EpisodeStore, "commit_all", "committed"),
            (AgentServicer, "Act", "answered"),
        ]
        for kind, method, point in after:
            setattr(kind, method, self._after(getattr(kind, method), point))
        setattr(EpisodeStore, "commit_all", self._during(EpisodeStore.commit_all))  # noqa: B010  mypy forbids the other form

    def _after(self, method: Callable[..., Awaitable[Any]], point: str) -> Callable[..., Awaitable[Any]]:
        async def followed(*values: Any, **named: Any) -> Any:
            result = await method(*values, **named)
            self.passed(point)
            return result

        return followed

    def _during(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def interrupted(*values: Any, **named: Any) -> Any:
            work = asyncio.ensure_future(method(*values, **named))
            if (FOLDER / "armed").exists():
                await asyncio.sleep(self._draw.uniform(0, 0.001))  # the commit is on its way, or done
                self.passed("committing")
            return await work

        return interrupted


def live(number: int) -> None:
    """One life."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not longer than the program
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Points(random.Random(number)).install()
    run(serve(start_process("standalone", StandaloneSettings)))


def main() -> None:
    """Lives, one after the other."""
    life, number = 0, 0

    def end(_number: int, _frame: types.FrameType | None) -> None:
        if life:
            os.kill(life, signal.SIGTERM)
            os.waitpid(life, 0)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    while True:
        number += 1
        life = os.fork()
        if not life:
            live(number)
            os._exit(0)
        (FOLDER / "life.pid").write_text(str(life))
        os.waitpid(life, 0)


if __name__ == "__main__":
    main()
