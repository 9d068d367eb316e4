"""`python faults_clock.py FILE`: services.standalone with a wall clock that FILE moves. A program of the tests alone.

FILE holds seconds, which are added to what the services read from the wall clock. It jumps when FILE is written. Clocks that
only measure how much time passes stay as they are, as they do when a machine's clock is set; so does what gRPC reads, which
sees through a jump by itself.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

from services.runtime.start import run, start_process
from services.standalone.serve import main as serve
from services.standalone.settings import StandaloneSettings

FILE = Path(sys.argv[1])


def moved_ns() -> int:
    """The wall clock, as it has been set."""
    return time.time_ns() + int(float(FILE.read_text() or 0) * 1e9)


if __name__ == "__main__":
    clock = SimpleNamespace(**{**vars(time), "time_ns": moved_ns, "time": lambda: moved_ns() / 1e9})
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("agent", "services") and getattr(module, "time", None) is time:
            module.time = clock  # type: ignore[attr-defined]
    run(serve(start_process("standalone", StandaloneSettings)))
