"""The process manager of `Stack`: `python deploy/local/supervise.py CONFIG`. It ends when its parent's thread ends.

The parent cannot arrange that between fork and exec: it has gRPC's threads, and Python code in a fork of such a process
sometimes aborts.
"""

import contextlib
import ctypes
import signal
import sys

from supervisor import supervisord


def main(config: str) -> None:
    """Runs supervisord until it is stopped. Linux ends it with its parent: a killed `make serve` leaves nothing running."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    supervisord.main(["-c", config])


if __name__ == "__main__":
    main(sys.argv[1])
