"""`make demo`: starts the services, plays episodes of MiniGrid-Memory, and prints the words as they are remembered.

After the episodes comes one line of JSON with the result, and then how to look into the last episode: it is kept in the
folder of `make serve`, which serves it again. While `make serve` runs in that folder, nothing is kept.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.local.kept import kept_in, run_folder
from deploy.local.stack import CannotRun, FolderTaken, Stack, free_port

ENVIRONMENT = "MiniGrid-MemoryS11-v0"
EPISODES = 10
SHELM = Path(sys.executable).with_name("shelm")
_BEGIN = re.compile(r"episode \d+/\d+  (\S+)$")
_END = re.compile(r"episode \d+/\d+  return \S+ in (\d+) steps$")


def main() -> int:
    """Runs the demo; returns the exit status of `shelm play`, or 1 if the services cannot run."""
    print("starting redis, retrieval, memory and policy as separate processes ...", flush=True)
    try:
        try:
            return _run(run_folder(), "\n".join(KEPT))
        except FolderTaken:
            with tempfile.TemporaryDirectory(prefix="shelm-demo-") as folder:
                return _run(Path(folder), "\n".join(NOT_KEPT))
    except CannotRun as error:
        print(error, file=sys.stderr)
        return 1


KEPT = (
    "",
    "The last episode and its frames are kept. To see which words decided its turn, serve it again:",
    "  make serve",
    "and in another terminal:",
    "  {shelm} explain {episode} {step}",
    "or in a browser, at the address that `make serve` prints: /#/episode/{episode}",
)
NOT_KEPT = (
    "",
    "`make serve` runs already, so this was played beside it and is gone. To see which words decide, play there:",
    "  {shelm} play --episodes 1",
    "  {shelm} explain @last 0",
)


def _run(folder: Path, text: str) -> int:
    settings = {**kept_in(folder), "SHELM_LISTEN": f"127.0.0.1:{free_port()}"}
    with Stack(folder, settings, say=lambda line: print(line, flush=True)) as stack:
        status, episode, steps = _play(stack.target)
    if status == 0:
        print(text.format(shelm=_short(SHELM), episode=episode, step=max(0, steps - 2)), flush=True)
    return status


def _play(target: str) -> tuple[int, str, int]:
    """The exit status of `shelm play`, and the name and steps of its last episode."""
    command = ["play", "--env", ENVIRONMENT, "--episodes", str(EPISODES), "--target", target]
    episode, steps = "", 0
    with subprocess.Popen([sys.executable, "-m", "shelm.cli", *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if begins := _BEGIN.match(line):
                episode = begins[1]
            elif ends := _END.match(line):
                steps = int(ends[1])
    return process.returncode, episode, steps


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
