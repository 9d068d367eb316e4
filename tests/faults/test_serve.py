"""`python -m deploy.local.serve`: how it starts, refuses to start, and ends."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from faults_serve import START_SECONDS, STOP_SECONDS, Serve, serving
from support.frames import Frame
from support.waiting import wait_for

from deploy.local.redis_server import redis_command
from deploy.local.stack import free_port

pytestmark = pytest.mark.timeout(240)

Run = Callable[..., Serve]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts serve with some settings; stopped in any case."""
    started: list[Serve] = []

    def start(**settings: str) -> Serve:
        started.append(Serve(tmp_path / f"run-{len(started)}", **settings))
        return started[-1]

    yield start
    for serve in started:
        serve.stop()


def wait_ended(serve: Serve, seconds: float) -> int:
    """Its exit status."""
    wait_for("serve has ended", lambda: not serve.alive, seconds=seconds)
    return serve.process.returncode


def bound(one: socket.socket, host: str, port: int) -> bool:
    """Whether the socket could be bound."""
    with contextlib.suppress(OSError):
        one.bind((host, port))
        return True
    return False


@pytest.mark.parametrize("how", ["terminate", "control-c"])
def test_a_signal_ends_every_process_in_good_order(tmp_path: Path, how: str) -> None:
    with serving(tmp_path / "run") as serve:
        pids = serve.pids()
        supervisor = psutil.Process(int((serve.folder / "supervisord.pid").read_text()))
        assert supervisor.ppid() == serve.process.pid
        for service, pid in pids.items():
            process = psutil.Process(pid)
            assert process.ppid() == supervisor.pid, f"{service}.pid names the service, not a shell around it"
            command = " ".join(process.cmdline())
            assert "-server" in command if service == "redis" else f"-m services.{service}" in command
        assert {process.pid for process in serve.processes()} >= {*pids.values(), supervisor.pid, serve.process.pid}
        began = time.monotonic()
        if how == "terminate":
            serve.process.send_signal(signal.SIGTERM)
        else:  # a terminal signals the whole group: supervisor too
            os.killpg(serve.process.pid, signal.SIGINT)
        assert wait_ended(serve, STOP_SECONDS) == 0
        assert time.monotonic() - began < STOP_SECONDS
        assert serve.processes() == []
        assert serve.errors == ""
        progress = [line.partition(" is ready after ")[0] for line in serve.output.splitlines()]
        assert set(progress) >= set(pids), "each service is told when it is ready"
        for service in ("retrieval", "memory", "policy"):
            assert f"{service} stops" in (serve.folder / f"{service}.log").read_text(), "it was asked, not killed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_ends_every_process(run: Run, number: signal.Signals) -> None:
    serve = run()
    wait_for("the services are starting", (serve.folder / "policy.pid").exists, seconds=START_SECONDS)
    serve.process.send_signal(number)
    assert wait_ended(serve, STOP_SECONDS) == 0
    assert serve.processes() == []
    assert "Traceback" not in serve.errors


def test_an_address_in_use_is_said_in_one_line(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        serve = run(SHELM_LISTEN=address)
        assert wait_ended(serve, 60) == 1
    [line] = serve.errors.splitlines()
    assert line.startswith(f"SHELM_LISTEN={address}: ")
    assert "in use" in line
    assert serve.processes() == []
    assert serve.output == ""


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "127.0.0.1:port", "nowhere.invalid:1"])
def test_an_address_that_is_none_is_said_in_one_line(run: Run, address: str) -> None:
    serve = run(SHELM_LISTEN=address)
    assert wait_ended(serve, 60) == 1
    [line] = serve.errors.splitlines()
    assert line.startswith(f"SHELM_LISTEN={address}: ")


def test_a_second_stack_in_the_same_folder_is_refused_in_one_line_and_the_first_goes_on(
    tmp_path: Path, frames: Sequence[Frame]
) -> None:
    with serving(tmp_path / "run") as first, first.client() as client:
        client.act(frames[0], "episode")
        before, files = first.pids(), {path.name: path.read_bytes() for path in first.folder.glob("*.[cp]*")}
        second = Serve(first.folder, label="second")
        try:
            assert wait_ended(second, 60) == 1
            [line] = second.errors.splitlines()
            assert line.startswith(f"SHELM_RUN_DIR={first.folder}: ")
            assert f"in use by process {first.process.pid}" in line
            assert not second.output
        finally:
            second.end()
        assert first.pids() == before
        assert {path.name: path.read_bytes() for path in first.folder.glob("*.[cp]*")} == files
        assert client.act(frames[1], "episode").step == 1


@pytest.mark.long
def test_a_stack_waits_for_what_a_killed_one_has_left_and_then_knows_its_episodes(
    run: Run, tmp_path: Path, frames: Sequence[Frame]
) -> None:
    first = run()
    first.wait_started()
    with first.client() as client:
        client.act(frames[0], "episode")
    redis = psutil.Process(first.pid("redis"))
    redis.suspend()  # it outlives the others
    first.process.kill()
    first.process.wait()
    second = Serve(first.folder, label="second")
    try:
        wait_for("what is left has been met", lambda: not redis.is_running() or second.alive, seconds=5)
        assert not second.output
        assert redis.status() == psutil.STATUS_STOPPED
        redis.resume()
        second.wait_started()
        with second.client() as client:
            assert client.resume("episode") == 1
    finally:
        second.stop()


def test_a_second_redis_on_the_files_of_another_is_refused(tmp_path: Path) -> None:
    command = redis_command(free_port(), tmp_path / "redis")
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for("the first runs", lambda: "-server" in psutil.Process(first.pid).name(), seconds=30)
        second = subprocess.run(
            redis_command(free_port(), tmp_path / "redis"), capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode == 2
        assert second.stderr == f"{tmp_path / 'redis'}: the folder is in use by process {first.pid}\n"
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()


BAD_SETTINGS = [
    ("SHELM_AGENTS", "models/nothing-here", "SHELM_AGENTS: agent bundle models/nothing-here: agent.json is missing"),
    ("SHELM_LISTEN", "0.0.0.0:{port}", "SHELM_LISTEN: refusing to listen on 0.0.0.0:{port} without tokens"),
    ("SHELM_SLOTS", "0", "SHELM_SLOTS: "),
    ("SHELM_INSPECTOR_TIMEOUT", "soon", "SHELM_INSPECTOR_TIMEOUT: "),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_SETTINGS, ids=[name for name, _, _ in BAD_SETTINGS])
def test_a_bad_setting_ends_serve_with_a_clear_message(run: Run, name: str, value: str, message: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = run(**{name: value.format(port=port)})
    assert wait_ended(serve, START_SECONDS) == 1
    [line] = serve.errors.splitlines()
    assert line.startswith(message.format(port=port))
    assert serve.processes() == []
    assert "ready:" not in serve.output


def test_what_a_service_refuses_by_itself_is_quoted_and_nothing_of_earlier_runs(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run-0"
    folder.mkdir()
    for service in ("retrieval", "memory", "policy"):
        (folder / f"{service}.log").write_text("SHELM_OLD: of yesterday\n")
    (tmp_path / "tokens").write_text(
        "token name act,read\n"
    )  # one process needs no token for the calls between services, three do
    serve = run(SHELM_TOKENS_FILE=str(tmp_path / "tokens"))
    assert wait_ended(serve, START_SECONDS) == 1
    [line] = serve.errors.splitlines()
    assert line.startswith("policy refuses to start: SHELM_TOKENS_FILE: no token has the scope `inner`")


def test_a_given_redis_that_does_not_answer_is_said_in_one_line(run: Run) -> None:
    serve = run(SHELM_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert wait_ended(serve, START_SECONDS) == 1
    [line] = serve.errors.splitlines()
    assert line.startswith("SHELM_REDIS_URL: redis does not answer")
    assert serve.processes() == []
    assert serve.output == ""


@pytest.mark.long
def test_a_service_whose_port_is_taken_while_it_restarts_comes_back_once_the_port_is_free(run: Run) -> None:
    serve = run()
    serve.wait_started()
    log = serve.folder / "policy.log"
    host, _, port = serve.target.rpartition(":")
    serve.kill("policy")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wait_for("the killed policy's port is free", lambda: bound(taken, host, int(port)), seconds=5)
        taken.listen()
        refusal = f"SHELM_LISTEN={serve.target}: cannot listen"
        wait_for("policy has met the taken port", lambda: refusal in log.read_text(), seconds=START_SECONDS)
        assert not serve.serving
    serve.wait_serving()
    assert serve.alive


def test_a_killed_process_manager_ends_serve_and_leaves_no_service_behind(run: Run) -> None:
    serve = run()
    serve.wait_started()
    os.kill(int((serve.folder / "supervisord.pid").read_text()), signal.SIGKILL)
    assert wait_ended(serve, STOP_SECONDS) == 1
    assert "the process manager ended by itself with status -9" in serve.errors
    wait_for("no service runs", lambda: serve.processes() == [], seconds=STOP_SECONDS)


def test_a_killed_serve_leaves_no_service_behind(run: Run) -> None:
    serve = run()
    serve.wait_started()
    serve.process.kill()
    wait_for("no service runs", lambda: serve.processes() == [], seconds=STOP_SECONDS)
