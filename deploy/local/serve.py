"""`make serve`: runs the services in the foreground until Ctrl-C or SIGTERM.

It prints a line for each service that is ready, then where agents act and where memories are shown.
"""

import signal
import sys
from types import FrameType

from deploy.local.kept import kept_in, run_folder
from deploy.local.stack import CannotRun, Stack


def main() -> int:
    """Serves; returns 0 after an orderly end, 1 if the services cannot run."""
    folder = run_folder()
    stack = Stack(folder, kept_in(folder), inspector=True, check=True, say=lambda line: print(line, flush=True))

    def end(_number: int, _frame: FrameType | None) -> None:
        stack.abandoned = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)  # also if a shell has started it in the background, with SIGINT ignored
    try:
        stack.start()
        print(f"ready: agents act at {stack.target}; pids and logs are in {stack.folder}", flush=True)
        print(f"memories are shown at {stack.page}", flush=True)
        status = stack.wait()
        print(f"the process manager ended by itself with status {status}; ending the services", file=sys.stderr)
    except KeyboardInterrupt:
        return 0
    except CannotRun as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stack.stop()
    return 1


if __name__ == "__main__":
    sys.exit(main())
