"""Runs a real Triton Inference Server on this machine's CPU, from the wheel nvidia-pytriton (Triton 2.51).

The wheel contains the server and its Python backend. The models run in a stub process with their own environment (`make
triton-setup`, folder .triton): numpy 1, torch, and this repository. The stub ignores PYTHONPATH and finds its packages
through the first python3 on PATH; it needs that interpreter's libpython.

Models join and leave it while it runs (services.triton.control, with the server's `key`).

Contract: `TritonServer.start` returns when all models are ready; `stop` leaves no process and no shared memory. Failure
policy: a missing environment raises FileNotFoundError that says what to run; a server that exits during its start raises
RuntimeError with the end of its log.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

START_TIMEOUT = 180.0  # seconds
STOP_TIMEOUT = 20.0
ENVIRONMENT = Path(".triton")
SCRIPT = Path(__file__).parents[1] / "deploy/docker/tritonserver.sh"  # as every deployment starts it


class TritonServer:
    """One server for one model repository."""

    def __init__(
        self,
        repository: Path,
        *,
        port: int,
        folder: Path,
        environment: Path = ENVIRONMENT,
        host: str = "127.0.0.1",
        inside: Sequence[str] = (),
    ) -> None:
        """Sets up the server. host, port: of gRPC. folder: for its log.

        inside: command prefix that starts it in another network namespace.
        """
        self.target, self._host, self._inside = f"{host}:{port}", host, inside
        self.log_path = folder / "triton.log"
        self._repository, self._port = repository.resolve(), port
        self._environment = environment.absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self._shared: set[Path] = set()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None
        return self._process.pid

    @property
    def key(self) -> str:
        """What services.triton.control needs."""
        return (self.log_path.parent / "key").read_text().strip()

    @property
    def alive(self) -> bool:
        """Whether the server is running."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the server and waits until it is ready."""
        python = self._environment / "bin" / "python"
        if not python.exists():
            raise FileNotFoundError(f"{self._environment}: no environment for Triton's models; run `make triton-setup`")
        site, library = _ask(python, "purelib"), _ask(python, "LIBDIR")
        home = Path(site) / "pytriton" / "tritonserver"
        version = ".".join(_ask(python, "py_version_short").split(".")[:2])
        stub = home / "python_backend_stubs" / version / "triton_python_backend_stub"
        if not (home / "backends" / "python" / stub.name).exists():
            shutil.copy(stub, home / "backends" / "python")  # the only place where the server looks for it
        before = _shared_memory()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(home), stdout=log, stderr=log, env=self._variables(home, library), start_new_session=True
            )
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        self._shared |= _shared_memory() - before

    def kill(self) -> None:
        """Kills the server and its stubs, as the end of a container would; a stub on its own may otherwise survive."""
        assert self._process is not None
        self._end_session()

    def stop(self) -> None:
        """Stops the server gracefully if possible, otherwise kills it."""
        if self._process is None:
            return
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)
        self._end_session()

    def _end_session(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for path in self._shared:
            path.unlink(missing_ok=True)
        self._shared.clear()

    def _command(self, home: Path) -> list[str]:
        return [
            *self._inside,
            str(SCRIPT),
            f"--model-repository={self._repository}",
            f"--backend-directory={home / 'backends'}",
            "--allow-metrics=false",
            f"--grpc-address={self._host}",
            f"--grpc-port={self._port}",
        ]

    def _variables(self, home: Path, library: str) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self._environment / 'bin'}:{home / 'bin'}:{os.environ.get('PATH', '')}",
            "TMPDIR": str(self.log_path.parent.absolute()),  # where the key is written
            "LD_LIBRARY_PATH": library,
        }

    def _wait_ready(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START_TIMEOUT
        with triton.InferenceServerClient(self.target) as client:
            while time.monotonic() < end:
                if not self.alive:
                    raise RuntimeError(f"Triton ended with status {self._process.returncode}:\n{self.log()}")
                with contextlib.suppress(InferenceServerException, grpc.RpcError):
                    if client.is_server_ready(client_timeout=1):
                        return
                time.sleep(0.1)
        raise RuntimeError(f"Triton is not ready after {START_TIMEOUT:.0f} s:\n{self.log()}")

    def log(self, lines: int = 30) -> str:
        """Returns the last lines of its log."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


def _ask(python: Path, name: str) -> str:
    """Returns a path or variable of an interpreter's installation."""
    code = f"import sysconfig as s; print(s.get_paths().get({name!r}) or s.get_config_var({name!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _shared_memory() -> set[Path]:
    return set(Path("/dev/shm").glob("triton_python_backend_shm_region_*"))
