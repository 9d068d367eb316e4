"""The three services, Redis and the inspector as separate processes under supervisor, on loopback.

Contract: `Stack.start` returns when the public API is ready; a service that exits is restarted, with back-off; `stop` ends
all processes. Each service's pid is in `<folder>/<service>.pid`, its output in `<folder>/<service>.log`. One stack has one
folder: from before anything in it is touched until its last process has ended, however it ends, the folder is locked.

Failure policy: a service that exits because of its settings (exit status 2), a given Redis that does not answer, an address
in use or a folder in use raises `CannotRun` with one line or what the service has said since this start; nothing is left
running, and no process of others is touched.
"""

import contextlib
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from supervisor.xmlrpc import SupervisorTransport

from deploy.local.folder_lock import FolderInUse, holds_lock, lock_folder
from deploy.local.progress import Progress
from deploy.local.redis_server import redis_command

START_TIMEOUT = 180.0  # seconds; the first start converts the language model's weights
STOP_TIMEOUT = 30.0
FAILED_STARTS = 3  # number of failed starts before giving up
_RANDOM = random.SystemRandom()  # not the global generator, because programs that seed it equally would get the same ports
_CLAIMED: deque[socket.socket] = deque(maxlen=256)  # one for each port that this process has been given of late
INSPECTOR = "127.0.0.1:8080"  # default; another port is used if it is taken
REFUSED = 2  # exit status of a service whose settings are wrong
# minfds: the descriptors below it are closed in every process, so the folder's lock, which lies above, is inherited.
_CONFIG = """[supervisord]
nodaemon=true
silent=true
minfds=64
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}
[unix_http_server]
file={socket}
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
# A process that exits is restarted unless its settings are invalid; failed starts wait 1, 2, 3, ... seconds.
_PROGRAM = """[program:{name}]
command={command}
autorestart=unexpected
exitcodes={refused}
startsecs=1
startretries=100000
stopwaitsecs=15
redirect_stderr=true
stdout_logfile={folder}/{name}.log
stdout_logfile_maxbytes=10MB
priority={priority}
"""


class CannotRun(RuntimeError):  # noqa: N818
    """The services cannot run; the message gives the reason."""


class FolderTaken(CannotRun):
    """Another stack runs in the folder."""


def free_port() -> int:
    """Returns a port of loopback that is free, outside the range of outgoing connections, and will not be returned to any
    other caller on this machine before this process has asked for 256 more or ends: what listens on it may take its time.
    """
    while True:
        port = _RANDOM.randrange(20_000, 32_000)  # below the range from which Linux and others take outgoing ports
        with socket.socket() as probe, contextlib.ExitStack() as unless_free, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            claim = unless_free.enter_context(socket.socket(socket.AF_UNIX))
            claim.bind(f"\0shelm-port-{port}")  # fails where another caller has it; goes with the process, leaves no file
            unless_free.pop_all()
            _CLAIMED.append(claim)
            return port


def _bind(listen: str) -> None:
    """Raises OSError if the address cannot be listened on."""
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host.strip("[]"), int(port)))


def _free(listen: str) -> bool:
    with contextlib.suppress(OSError):
        _bind(listen)
        return True
    return False


def _reached(listen: str) -> str:
    """Returns the address at which this machine can connect to `listen`."""
    host, _, port = listen.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("0.0.0.0", "[::]", "") else listen


class Stack:
    """Retrieval, memory, policy, a Redis unless SHELM_REDIS_URL is set, and optionally the inspector."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        inspector: bool = False,
        check: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """folder: for pids, logs and Redis's files. environment: SHELM_* settings in addition to those of this process.
        check: look at the services' settings before they start, so that a wrong one answers at once; a given Redis is
        looked at in any case. say: told in a line how far the start has come.
        """
        self.folder = folder.resolve()
        env = {**os.environ, **(environment or {})}
        env.setdefault("SHELM_LISTEN", "127.0.0.1:50051")
        for name in ("RETRIEVAL", "MEMORY"):
            env.setdefault(f"SHELM_{name}_LISTEN", f"127.0.0.1:{free_port()}")
            env.setdefault(f"SHELM_{name}_TARGET", env[f"SHELM_{name}_LISTEN"])
        self._redis_port = None if env.get("SHELM_REDIS_URL") else free_port()
        if self._redis_port:
            env["SHELM_REDIS_URL"] = f"redis://127.0.0.1:{self._redis_port}/0"
        self.environment, self.inspector = env, inspector
        if inspector:
            env.setdefault("SHELM_INSPECTOR_LISTEN", INSPECTOR if _free(INSPECTOR) else f"127.0.0.1:{free_port()}")
            env.setdefault("SHELM_INSPECTOR_TARGET", _reached(env["SHELM_LISTEN"]))
            env.setdefault("SHELM_INSPECTOR_METRICS", ",".join(_reached(one) for one in self.metrics.values()))
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._check, self._say = check, say
        self.abandoned = False  # set by a signal handler, because an exception that it raises inside gRPC can get lost
        self._logged: dict[str, int] = {}  # bytes of each log at the start, which are of earlier runs

    @property
    def target(self) -> str:
        """Address of the public API for clients on this machine."""
        return _reached(self.environment["SHELM_LISTEN"])

    @property
    def page(self) -> str:
        """Address of the inspector for browsers on this machine."""
        scheme = "https" if self.environment.get("SHELM_TLS_CERT") else "http"
        return f"{scheme}://{_reached(self.environment['SHELM_INSPECTOR_LISTEN'])}"

    @property
    def metrics(self) -> dict[str, str]:
        """Metrics address of each service: policy at SHELM_METRICS_LISTEN, retrieval and memory at the ports after it."""
        host, _, port = self.environment.get("SHELM_METRICS_LISTEN", "").rpartition(":")
        names = ("policy", "retrieval", "memory") if port.isdigit() else ()  # otherwise the services report what is wrong
        return {name: f"{host}:{int(port) + i}" for i, name in enumerate(names)}

    def start(self) -> None:
        """Starts all processes and waits until they are ready. Call it from the main thread, because they end with that
        thread.
        """
        self._check_addresses()
        self._credentials()  # CannotRun before anything starts
        self._lock = self._lock_folder()
        try:
            if self._check or not self._redis_port:
                self._check_settings()
            config = self.folder / "supervisord.conf"
            config.write_text(self._config())
            self._logged = {path.stem: path.stat().st_size for path in self.folder.glob("*.log")}
            command = [sys.executable, str(Path(__file__).with_name("supervise.py")), str(config)]
            for pid_file in self.folder.glob("*.pid"):  # of an earlier run: these ids may belong to other processes now
                pid_file.unlink()
            self._process = subprocess.Popen(command, env=self.environment, pass_fds=[self._lock])
            self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def wait(self) -> int:
        """Waits until the process manager ends."""
        assert self._process is not None
        return self._process.wait()

    def stop(self) -> None:
        """Ends every process, including those that a killed process manager has left behind."""
        if self._process is not None:
            self._end(self._process)
        if self._lock is not None:
            os.close(self._lock)
        self._process = self._lock = None

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        process.send_signal(signal.SIGTERM)  # does nothing if it has ended
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode != 0:
            self._kill_left_behind()

    def _kill_left_behind(self) -> None:
        assert self._lock is not None
        for pid_file in self.folder.glob("*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                pid = int(pid_file.read_text())
                if holds_lock(pid, self.folder, self._lock):  # otherwise the id belongs to a process of others by now
                    os.kill(pid, signal.SIGKILL)

    def _lock_folder(self) -> int:
        try:
            return lock_folder(self.folder, seconds=STOP_TIMEOUT)
        except FolderInUse as error:
            text = f"SHELM_RUN_DIR={self.folder}: {error}; stop that stack, or give this one a folder of its own"
            raise FolderTaken(text) from None
        except OSError as error:
            raise CannotRun(f"SHELM_RUN_DIR={self.folder}: {error.strerror}") from None

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def pid(self, service: str) -> int:
        """Returns the current process id of a service."""
        return int((self.folder / f"{service}.pid").read_text())

    def log(self, service: str, lines: int = 5) -> str:
        """Returns the last lines that a service has written since this start."""
        path = self.folder / f"{service}.log"
        content = path.read_bytes() if path.exists() else b""
        before = self._logged.get(service, 0)
        new = content[before:] if len(content) >= before else content  # shorter: it was full and has begun anew
        return "\n".join(new.decode(errors="replace").splitlines()[-lines:])

    @property
    def _socket(self) -> Path:
        # A socket's path may have 107 bytes at most, which a deep folder exceeds.
        return Path("/tmp") / f"shelm-{os.getuid()}-{os.getpid()}-{id(self):x}.sock"

    def _config(self) -> str:
        parts = [_CONFIG.format(folder=self.folder, socket=self._socket)]
        programs: dict[str, list[str]] = {}
        if self._redis_port:
            programs["redis"] = self._redis()
        names = ("retrieval", "memory", "policy", *(["inspector"] if self.inspector else []))
        programs |= {name: self._command(name) for name in names}
        for priority, (name, command) in enumerate(programs.items(), 1):
            line = f"echo $$ > {shlex.quote(str(self.folder / (name + '.pid')))}; exec {shlex.join(command)}"
            escaped = shlex.join(["/bin/sh", "-c", line]).replace("%", "%%")
            parts.append(_PROGRAM.format(name=name, command=escaped, refused=REFUSED, folder=self.folder, priority=priority))
        return "\n".join(parts)

    def _redis(self) -> list[str]:
        assert self._redis_port is not None
        try:
            return redis_command(self._redis_port, self.folder / "redis")
        except FileNotFoundError as error:
            raise CannotRun(str(error)) from None

    def _command(self, name: str) -> list[str]:
        metrics = [f"SHELM_METRICS_LISTEN={self.metrics[name]}"] if name in self.metrics else []
        return ["/usr/bin/env", *metrics, sys.executable, "-m", f"services.{name}"]

    def _check_addresses(self) -> None:
        names = ["SHELM_LISTEN", "SHELM_RETRIEVAL_LISTEN", "SHELM_MEMORY_LISTEN"]
        addresses = {name: self.environment[name] for name in [*names, *["SHELM_INSPECTOR_LISTEN"] * self.inspector]}
        for variable, address in [*addresses.items(), *(("SHELM_METRICS_LISTEN", one) for one in self.metrics.values())]:
            try:
                _bind(address)
            except (OSError, ValueError, OverflowError) as error:  # OverflowError: a port above 65535
                raise CannotRun(f"{variable}={address}: {error}") from None

    def _credentials(self) -> grpc.ChannelCredentials | None:
        """What a client of the services needs: with SHELM_TLS_CERT, what policy shows to retrieval and memory."""
        if not self.environment.get("SHELM_TLS_CERT"):
            return None
        ca, key, certificate = (self._file(name) for name in ("SHELM_BACKEND_CA", "SHELM_TLS_KEY", "SHELM_TLS_CERT"))
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def _file(self, variable: str) -> bytes:
        path = self.environment.get(variable)
        if not path:
            raise CannotRun(f"{variable}: is needed with SHELM_TLS_CERT, because all services have TLS then")
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise CannotRun(f"{variable}: {path}: {error.strerror}") from None

    def _check_settings(self) -> None:
        """Raises CannotRun if the services could not start now, or if the given Redis does not answer. The single process
        has the settings of all, but for the addresses between them.
        """
        what = "settings" if self._redis_port else "all"
        names = ["standalone", *["inspector"] * self.inspector]
        pipes: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True, "env": self.environment}
        running = [subprocess.Popen([*self._command(name), "--check", what], **pipes) for name in names]
        for process, (_, errors) in [(process, process.communicate()) for process in running]:
            if process.returncode:
                raise CannotRun(errors.strip())

    def _wait_ready(self) -> None:
        assert self._process is not None
        progress = Progress(self._ready_at(), self._say, self._credentials())
        ends: set[tuple[str, int]] = set()
        with contextlib.closing(progress):
            while progress.seconds < START_TIMEOUT:
                if self.abandoned:
                    raise KeyboardInterrupt
                if self._process.poll() is not None:
                    raise CannotRun(f"the process manager ended with status {self._process.returncode}")
                self._check_refused(ends)
                if "policy" in progress.look():
                    return
                time.sleep(0.2)
        says = "\n".join(f"{name} says:\n{self.log(name)}" for name in progress.waiting)
        raise CannotRun(f"not ready after {START_TIMEOUT:.0f} s: {', '.join(progress.waiting)}\n{says}")

    def _ready_at(self) -> dict[str, str]:
        """Where each process can be asked whether it is ready, in the order of their start; policy comes last, because it
        needs the others.
        """
        addresses = {"redis": f"127.0.0.1:{self._redis_port}"} if self._redis_port else {}
        if self.inspector:
            addresses["inspector"] = _reached(self.environment["SHELM_INSPECTOR_LISTEN"])
        for name in ("retrieval", "memory"):
            addresses[name] = _reached(self.environment[f"SHELM_{name.upper()}_LISTEN"])
        return {**addresses, "policy": self.target}

    def _check_refused(self, ends: set[tuple[str, int]]) -> None:
        """Raises CannotRun if a service exits because of its settings or keeps failing. ends: (service, time) of exits seen
        so far.
        """
        for one in self._processes():
            name = one["name"]
            # BACKOFF: within a second, which supervisor takes for a failed start whatever the status is.
            if one["statename"] in ("EXITED", "BACKOFF") and one["exitstatus"] == REFUSED:
                lines = self.log(name).splitlines()
                named = dict.fromkeys(line for line in lines if line.startswith("SHELM_"))
                raise CannotRun(f"{name} refuses to start: {chr(10).join(named or lines[-3:])}")
            if one["stop"]:
                ends.add((name, one["stop"]))
            if sum(service == name for service, _ in ends) >= FAILED_STARTS:
                raise CannotRun(f"{name} failed to start {FAILED_STARTS} times; it says:\n{self.log(name)}")

    def _processes(self) -> list[dict[str, Any]]:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        server = xmlrpc.client.ServerProxy("http://127.0.0.1", transport)
        try:
            found: Any = server.supervisor.getAllProcessInfo()
        except (OSError, xmlrpc.client.Error):
            return []  # supervisor is not up yet
        return list(found)
