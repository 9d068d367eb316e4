"""TLS and mutual TLS from the client through policy to retrieval and memory, and what does not start without it."""

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from shelm import Client, errors
from support.certificates import Authority, serial
from support.deployment import Processes
from support.frames import Frame
from support.process import REPOSITORY, Process, environment_with
from support.waiting import wait_for

from deploy.local.stack import free_port

EPISODES = 8
RENEWALS = 5
HEALTH = {"retrieval": "SHELM_RETRIEVAL_LISTEN", "memory": "SHELM_MEMORY_LISTEN", "policy": "SHELM_LISTEN"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=["TLS", "mutual TLS"])
def encrypted(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory, _no_settings: None
) -> Iterator[Processes]:
    """Three services that speak TLS alone."""
    settings = {**authority.settings(mutual=request.param == "mutual TLS"), "SHELM_POLICY_CACHE_FRAMES": "0"}
    with Processes(tmp_path_factory.mktemp("tls"), settings).running() as running:
        assert isinstance(running, Processes)
        yield running


@pytest.fixture
def trusted(authority: Authority) -> tuple[Path, Path, Path]:
    """`tls=` of a client that the services know."""
    return (authority.ca, *authority.issue("client"))


def is_mutual(deployment: Processes) -> bool:
    return "SHELM_TLS_CLIENT_CA" in deployment.settings


def log_of(deployment: Processes, service: str) -> str:
    return (deployment.folder / f"{service}.log").read_text()


def shown_at(target: str, authority: Authority) -> int:
    """The number of the certificate that a new connection is shown; a server that asks for one may then end it."""
    host, _, port = target.rpartition(":")
    context = ssl.create_default_context(cafile=authority.ca)
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection((host, int(port)), timeout=10)
    with context.wrap_socket(plain, server_hostname=host) as connection:
        found = connection.getpeercert(binary_form=True)
    assert found
    return serial(ssl.DER_cert_to_PEM_cert(found).encode())


def wait_shown(target: str, authority: Authority, number: int) -> None:
    """Waits until new connections are shown this certificate."""
    wait_for(f"{target} shows the new one", lambda: shown_at(target, authority) == number, seconds=30)


def test_an_episode_over_tls_is_that_without(
    encrypted: Processes, trusted: tuple[Path, Path, Path], frames: tuple[Frame, ...], name: str
) -> None:
    with Client(encrypted.target, tls=trusted) as client, client.episode(name, seed=7) as episode:
        acts = [episode.act(frame) for frame in frames[:12]]
        assert [act.step for act in acts] == list(range(12))
        memory = client.memory(name)
        assert [[token.text for token in step.tokens] for step in memory] == [[t.text for t in act.tokens] for act in acts]


@pytest.mark.parametrize("service", ["policy", "retrieval", "memory"])
def test_none_of_the_services_answers_without_tls(encrypted: Processes, service: str) -> None:
    target = {"policy": encrypted.target, "retrieval": encrypted.retrieval_target, "memory": encrypted.memory_target}
    with Client(target[service], retry_for=0, timeout=5) as client, pytest.raises(errors.Unavailable):
        client.ping()


def test_a_client_that_trusts_another_authority_is_told_so_at_once(encrypted: Processes, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    with Client(encrypted.target, tls=other.ca) as client, pytest.raises(errors.TlsError, match="no CA that") as failed:
        client.agents()
    assert failed.value.attempts == 1


@pytest.mark.parametrize("service", ["policy", "retrieval", "memory"])
def test_mutual_tls_refuses_a_client_without_a_certificate_or_with_a_strangers(
    encrypted: Processes, authority: Authority, tmp_path: Path, service: str
) -> None:
    if not is_mutual(encrypted):
        pytest.skip("asks for no certificate")
    target = {"policy": encrypted.target, "retrieval": encrypted.retrieval_target, "memory": encrypted.memory_target}
    stranger = Authority(tmp_path).issue("stranger")
    for tls in (authority.ca, (authority.ca, *stranger)):
        client = Client(target[service], tls=tls, retry_for=0, timeout=5)
        with client, pytest.raises(errors.Unavailable) as failed:
            client.ping()
        assert "tls=(ca, cert, key)" in str(failed.value)


def test_the_command_line_speaks_tls(encrypted: Processes, trusted: tuple[Path, Path, Path]) -> None:
    options = [
        word for name, path in zip(("ca", "cert", "key"), trusted, strict=True) for word in (f"--tls-{name}", str(path))
    ]
    command = [sys.executable, "-m", "shelm.cli", "ping", "--act", "--target", encrypted.target]
    for given, status in ((options, 0), ([], 1)):
        done = subprocess.run(
            [*command, "--timeout", "10", *given], capture_output=True, text=True, cwd=REPOSITORY, timeout=120, check=False
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr


def test_certificates_are_replaced_while_episodes_run_and_no_act_fails(
    encrypted: Processes, authority: Authority, trusted: tuple[Path, Path, Path], frames: tuple[Frame, ...], name: str
) -> None:
    """No call is tried twice, and every second one comes over a connection of its own, which is a handshake."""
    over = threading.Event()

    def play(number: int) -> int:
        steps = 0
        with Client(encrypted.target, tls=trusted, retry_for=0, timeout=30) as lasting:
            episode = lasting.episode(f"{name}:{number}").__enter__()
            while not over.is_set():
                assert episode.act(frames[steps % len(frames)]).step == steps
                with Client(encrypted.target, tls=trusted, retry_for=0, timeout=30) as passing:
                    assert passing.get_episode(f"{name}:{number}").committed_step == steps
                steps += 1
        return steps

    targets = (encrypted.target, encrypted.retrieval_target, encrypted.memory_target)
    with ThreadPoolExecutor(EPISODES) as threads:
        playing = [threads.submit(play, number) for number in range(EPISODES)]
        try:
            for _ in range(RENEWALS):
                certificate, _ = authority.issue()  # of all three, as server and as client
                new = serial(certificate.read_bytes())
                for target in targets:
                    wait_shown(target, authority, new)
                time.sleep(0.5)
        finally:
            over.set()
        assert all(one.result() > RENEWALS for one in playing)
    assert all("the certificate was read again" in log_of(encrypted, service) for service in HEALTH)


def test_a_bad_file_later_keeps_the_certificate_before_and_is_logged(
    encrypted: Processes, authority: Authority, trusted: tuple[Path, Path, Path]
) -> None:
    certificate = Path(encrypted.settings["SHELM_TLS_CERT"])
    good = certificate.read_bytes()
    certificate.write_bytes(b"rubbish")
    try:
        wait_for(
            "the log says so",
            lambda: (
                shown_at(encrypted.target, authority) == serial(good) and "SHELM_TLS_CERT: " in log_of(encrypted, "policy")
            ),
            seconds=30,
        )
        with Client(encrypted.target, tls=trusted, retry_for=0, timeout=30) as client:
            assert client.agents()
    finally:
        certificate.write_bytes(good)


def test_the_page_is_served_over_tls_and_reads_the_api_over_tls(
    encrypted: Processes, authority: Authority, tmp_path: Path
) -> None:
    port = free_port()
    listen = f"127.0.0.1:{port}"
    settings = {**encrypted.settings, "SHELM_INSPECTOR_LISTEN": listen, "SHELM_INSPECTOR_TARGET": encrypted.target}
    context = ssl.create_default_context(cafile=authority.ca)
    context.load_cert_chain(*authority.issue("browser"))
    process = Process([sys.executable, "-m", "services.inspector"], tmp_path / "log", settings)
    try:
        with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{port}", timeout=10) as browser:
            wait_for("the page answers", lambda: page_answers(browser), seconds=60)
            assert browser.get("/api/agents").json()[0]["name"] == "minigrid-memory"
        if is_mutual(encrypted):
            stranger = httpx.Client(verify=ssl.create_default_context(cafile=authority.ca), timeout=10)
            with stranger, pytest.raises(httpx.HTTPError):
                stranger.get(f"https://127.0.0.1:{port}/healthz")
        certificate, _ = authority.issue()
        wait_shown(listen, authority, serial(certificate.read_bytes()))
    finally:
        process.stop()


def page_answers(browser: httpx.Client) -> bool:
    """Whether the inspector is healthy."""
    try:
        return browser.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def refusal(service: str, settings: Mapping[str, str]) -> str:
    """The one line with which a service does not start."""
    variable = {**HEALTH, "standalone": "SHELM_LISTEN", "inspector": "SHELM_INSPECTOR_LISTEN"}[service]
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}", "--check", "settings"],
        env=environment_with({variable: f"127.0.0.1:{free_port()}", **settings}),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 2), done.stderr
    assert (done.returncode == 0) == (done.stderr == "")
    return done.stderr


@pytest.mark.parametrize(
    ("service", "variable"), [*HEALTH.items(), ("standalone", "SHELM_LISTEN"), ("inspector", "SHELM_INSPECTOR_LISTEN")]
)
def test_beyond_loopback_no_service_starts_without_tls_and_without_the_flag(
    service: str, variable: str, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text("one\ntwo policy inner\n")
    beyond = {variable: f"0.0.0.0:{free_port()}", "SHELM_TOKENS_FILE": str(tmp_path / "tokens")}
    [line] = refusal(service, beyond).splitlines()
    assert line.startswith(f"{variable}: refusing to listen on 0.0.0.0:")
    assert "SHELM_TLS_CERT and SHELM_TLS_KEY, or SHELM_ALLOW_PLAINTEXT=true" in line
    assert refusal(service, {**beyond, "SHELM_ALLOW_PLAINTEXT": "true"}) == ""
    assert refusal(service, {**beyond, **authority.settings()}) == ""


@pytest.mark.parametrize("service", ["policy", "retrieval", "memory", "standalone", "inspector"])
def test_a_file_that_cannot_be_used_is_one_line_that_names_the_variable(
    service: str, authority: Authority, tmp_path: Path
) -> None:
    good = authority.settings()
    for variable in ("SHELM_TLS_CERT", "SHELM_TLS_KEY"):
        for wrong in (str(tmp_path / "no-such"), os.devnull, str(REPOSITORY / "README.md")):
            [line] = refusal(service, {**good, variable: wrong}).splitlines()
            assert line.startswith(f"{variable}: {wrong}: ")
