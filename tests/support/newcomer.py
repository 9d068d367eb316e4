"""Somebody who has just cloned the repository and follows a page from its first block to its last.

Contract: `Newcomer` works in a clone of the working tree, uncommitted changes included, with an environment of its own that
takes its packages from the one that runs the tests: the clone's code runs, and nothing is installed. The blocks of a page
share working directory and variables, as in one terminal; one that ends with `make serve` runs on in the background, as in a
terminal of its own, and ends when the next one serves. Ports are free ones, put in the place of
those that the pages name. As a context manager it leaves no process.

Failure policy: a block that fails, does not end in time, or whose server does not get ready is an AssertionError with what
it printed.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.local.stack import free_port
from support.fenced import Block
from support.process import REPOSITORY, STOP_SECONDS, environment_with, tail
from support.shown import missing
from support.waiting import wait_for

ADDRESSES = {"SHELM_LISTEN": "127.0.0.1:50051", "SHELM_INSPECTOR_LISTEN": "127.0.0.1:8080"}  # which the pages name
SERVE = "make serve"
PAGE_SERVER = SERVE  # for pages that only say that a server runs
EPISODE = re.compile(r"\bepisode-[0-9a-f]{32}\b")
START_SECONDS = 180.0


def clone_working_tree(folder: Path) -> None:
    """What `git clone` of the working tree would give if everything in it were committed."""
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(folder)], check=True, timeout=120)
    for name in _files("--cached"):
        (folder / name).unlink(missing_ok=True)
    for name in _files("--cached", "--others", "--exclude-standard"):
        source, target = REPOSITORY / name, folder / name
        if source.is_file():  # else it was deleted and that is not yet committed
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _files(*options: str) -> list[str]:
    command = ["git", "ls-files", "-z", *options]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, timeout=60).stdout.decode()
    return [name for name in listed.split("\0") if name]


def make_environment(clone: Path) -> None:
    """The clone's .venv, as `make setup` leaves it; the packages are those of the environment that runs this."""
    shared, own = Path(sys.prefix), clone / ".venv"
    packages = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
    (own / packages).mkdir(parents=True)
    shutil.copy(shared / "pyvenv.cfg", own)
    line = f"import site; site.addsitedir({str(shared / packages)!r})"
    (own / packages / "shared.pth").write_text(f"{clone}\n{clone / 'clients/python/src'}\n{line}\n")
    (own / "bin").mkdir()
    for script in (shared / "bin").iterdir():
        _copy_script(script, own / "bin" / script.name, str(shared), str(own))
    (own / ".ready").touch()


def _copy_script(script: Path, target: Path, shared: str, own: str) -> None:
    if script.is_symlink():
        target.symlink_to(os.readlink(script))  # python
        return
    content = script.read_bytes()
    if content.startswith(b"\x7fELF"):
        target.symlink_to(script)
        return
    target.write_bytes(content.replace(shared.encode(), own.encode()))
    target.chmod(script.stat().st_mode)


class Newcomer:
    """Follows one page."""

    def __init__(self, folder: Path) -> None:
        """folder: an empty one."""
        self.clone, self._state = folder / "clone", folder / "terminal"
        clone_working_tree(self.clone)
        make_environment(self.clone)
        self._state.mkdir()
        self._addresses = {name: f"127.0.0.1:{free_port()}" for name in ADDRESSES}
        self.target = self._addresses["SHELM_LISTEN"]
        self._guest = False  # the page takes a running server, and `shelm` on PATH, for granted
        self._names: dict[str, str] = {}  # of episodes: on the page -> here
        self.missing: list[str] = []  # lines that transcripts show and that were not printed
        self._server: subprocess.Popen[bytes] | None = None
        self._log = folder / "serve.log"
        settings = {**self._addresses, "SHELM_TARGET": self.target, "PYTHONUNBUFFERED": "1"}
        self._environment = {**environment_with(settings), "OMP_NUM_THREADS": "1"}
        self._environment.pop("PYTHONPATH", None)
        self._environment.pop("VIRTUAL_ENV", None)

    def follow(self, block: Block, *, seconds: float) -> str:
        """Runs a block; returns what it printed."""
        code = block.code
        for name, page in ADDRESSES.items():
            code = code.replace(page, self._addresses[name])
        if block.language == "python":
            self._serve_if_needed(code)
            return self._run(block, [str(self.clone / ".venv/bin/python"), "-c", code], seconds)
        if code.rstrip().endswith(SERVE):
            self._serve(str(block), code)
            return self._log.read_text()
        if block.language == "console":
            self._serve_if_needed(code)
            return "".join(self._transcript(block, seconds))
        if not code.lstrip().startswith(("make", "python")):
            self._serve_if_needed(code)
        return self._run(block, self._in_terminal(code), seconds)

    def follow_output(self, printed: str, *, seconds: float) -> list[str]:
        """Runs the commands of `shelm` that a command has printed as what to do next; returns what each printed."""
        commands = [line.strip() for line in printed.splitlines() if re.match(r"\s+\S*shelm ", line)]
        return [self._run(command, self._in_terminal(command), seconds) for command in commands]

    def _transcript(self, block: Block, seconds: float) -> Iterator[str]:
        """Runs the lines after `$ `; the names of episodes on the page stand for those printed before."""
        for part in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            for page, here in self._names.items():
                command = command.replace(page, here)
            printed = self._run(block, self._in_terminal(command), seconds)
            self.missing += [f"{block}: {line}" for line in missing(shown, printed)]
            for page, here in zip(EPISODE.findall(shown), EPISODE.findall(printed), strict=False):
                self._names.setdefault(page, here)
            yield printed

    def _in_terminal(self, code: str) -> list[str]:
        """A shell that goes on where the last one stood."""
        before = 'if [ -e "$S/exports" ]; then . "$S/exports"; cd "$(cat "$S/folder")"; fi'
        before += f'\nPATH="{self.clone}/.venv/bin:$PATH"' if self._guest else ""
        after = 'export -p > "$S/exports"; pwd > "$S/folder"'
        return ["bash", "-euo", "pipefail", "-c", f'S="{self._state}"\n{before}\n{code}\n{after}']

    def _run(self, block: Block | str, command: list[str], seconds: float) -> str:
        child = subprocess.Popen(
            command,
            cwd=self.clone,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            raise AssertionError(f"{block} did not end in {seconds:.0f} s:\n{child.communicate()[0][-4000:]}") from None
        assert child.returncode == 0, f"{block} ended with {child.returncode}:\n{output[-4000:]}{self._server_log()}"
        return output

    def _serve_if_needed(self, code: str) -> None:
        if self._server is None and (self.target in code or "shelm " in code or "from shelm" in code):
            self._guest = True
            self._serve("the server of the page", PAGE_SERVER)

    def _serve(self, what: str, code: str) -> None:
        self._stop_server()
        with self._log.open("wb") as output:
            self._server = subprocess.Popen(
                self._in_terminal(code),
                cwd=self.clone,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        server = self._server
        wait_for(
            f"{what} is ready", lambda: server.poll() is not None or "ready:" in self._log.read_text(), seconds=START_SECONDS
        )
        assert server.poll() is None, f"{what} ended with {server.returncode}:\n{tail(self._log, 30)}"

    def _server_log(self) -> str:
        return f"\n--- server\n{tail(self._log, 20)}" if self._log.exists() else ""

    def _stop_server(self) -> None:
        if self._server is None:
            return
        os.killpg(self._server.pid, signal.SIGINT)  # as Ctrl-C does
        try:
            self._server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        self._server = None

    def __enter__(self) -> "Newcomer":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_server()
