"""`make demo`: starts the services, plays episodes of MiniGrid-Memory, and prints the words as they are remembered.

The last line is one JSON object with the result.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.local.stack import CannotRun, Stack, free_port

ENVIRONMENT = "MiniGrid-MemoryS11-v0"
EPISODES = 10


def main() -> int:
    """Runs the demo; returns the exit status of `shelm play`, or 1 if the services cannot run."""
    with tempfile.TemporaryDirectory(prefix="shelm-demo-") as folder:
        print("starting redis, retrieval, memory and policy as separate processes ...", flush=True)
        try:
            with Stack(Path(folder), {"SHELM_LISTEN": f"127.0.0.1:{free_port()}"}) as stack:
                command = ["play", "--env", ENVIRONMENT, "--episodes", str(EPISODES), "--target", stack.target]
                return subprocess.run([sys.executable, "-m", "shelm.cli", *command], check=False).returncode
        except CannotRun as error:
            print(error, file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
