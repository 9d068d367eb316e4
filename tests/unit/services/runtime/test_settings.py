"""Settings from the environment: a bad value stops the start with its variable's name; secrets are not printed."""

import os

import pytest

from services.memory.settings import MemorySettings
from services.policy.settings import PolicyServerSettings, PolicySettings
from services.retrieval.settings import RetrievalSettings
from services.runtime.settings import ServerSettings, check_address, describe, load_settings
from services.standalone.settings import StandaloneSettings

EVERY = (RetrievalSettings, MemorySettings, PolicySettings, StandaloneSettings)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("SHELM_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("kind", EVERY)
def test_every_service_starts_without_any_variable(kind: type[ServerSettings]) -> None:
    found = load_settings(kind)
    assert found.tokens_file == ""
    assert not found.allow_anonymous


@pytest.mark.parametrize("kind", EVERY)
def test_every_service_listens_on_loopback_unless_told_otherwise(kind: type[ServerSettings]) -> None:
    listens = [value for name, value in load_settings(kind).model_dump().items() if name.endswith("listen") and value]
    assert listens
    assert all(value.startswith("127.0.0.1:") for value in listens)


def test_a_variable_sets_the_field_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELM_MAX_BATCH", "3")
    monkeypatch.setenv("SHELM_LISTEN", "[::1]:1234")
    found = load_settings(PolicyServerSettings)
    assert (found.max_batch, found.listen) == (3, "[::1]:1234")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (PolicyServerSettings, "SHELM_MAX_BATCH", "0"),
        (PolicyServerSettings, "SHELM_MAX_QUEUE", "many"),
        (PolicyServerSettings, "SHELM_STOP_GRACE", "-1"),
        (PolicyServerSettings, "SHELM_LOG_LEVEL", "verbose"),
        (PolicyServerSettings, "SHELM_ALLOW_ANONYMOUS", "perhaps"),
        (PolicyServerSettings, "SHELM_LISTEN", "50051"),
        (PolicyServerSettings, "SHELM_EPISODE_TTL", "0"),
        (PolicyServerSettings, "SHELM_RETAINED_STEPS", "0"),
        (MemorySettings, "SHELM_SLOTS", "0"),
        (MemorySettings, "SHELM_MEMORY_LISTEN", "localhost:"),
        (RetrievalSettings, "SHELM_CACHE_FRAMES", "-1"),
        (RetrievalSettings, "SHELM_RETRIEVAL_LISTEN", "localhost:65536"),
    ],
)
def test_a_bad_value_ends_the_start_and_names_its_variable(
    kind: type[ServerSettings], name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load_settings(kind)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: ")
    assert line.endswith(f"got {value!r}")


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SHELM_MAX_BATCH", "0")
    monkeypatch.setenv("SHELM_MAX_QUEUE", "0")
    with pytest.raises(SystemExit):
        load_settings(ServerSettings)
    lines = capsys.readouterr().err.splitlines()
    assert {line.partition(":")[0] for line in lines} == {"SHELM_MAX_BATCH", "SHELM_MAX_QUEUE"}


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:65535", "[::1]:50051", "0.0.0.0:0"])
def test_an_address_is_host_and_port(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize("address", ["", "localhost", ":50051", "localhost:port", "localhost:-1", "localhost:65536"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        check_address(address)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@redis:6379/0",
        "redis://user:s3cret@redis:6379/0",
        "rediss://user:s3c@s3cret@redis:6379/0",
        "redis://redis:6379/0?username=user&password=s3cret",
    ],
)
def test_passwords_are_masked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = described(monkeypatch, SHELM_REDIS_URL=url)
    assert "s3c" not in text
    assert "redis:6379/0" in text
    assert "max_batch=64" in text


@pytest.mark.parametrize(
    "url",
    [
        *("redis://:s3c/s3c@redis:6379", "redis://user:1/s3c@s3c@redis", "redis:/:s3c@redis", "cluster+redis://:s3c#@redis"),
        *("redis//:c2VjcmV0/s3c==", "s3c", "redis://:s3c/x", "REDIS_PASSWORD=s3c/@x", "redis://redis:s3c"),
    ],
)
def test_an_address_that_cannot_be_used_is_named_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELM_REDIS_URL", url)
    with pytest.raises(SystemExit):
        load_settings(PolicyServerSettings)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("SHELM_REDIS_URL: ")
    assert line.endswith("got a value that is not shown")
    assert "s3c" not in line


def test_no_setting_that_holds_a_secret_is_part_of_what_python_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELM_REDIS_URL", "redis://:s3cret@redis:6379/0")
    settings = load_settings(PolicySettings)
    assert "s3cret" not in repr(settings) + str(settings) + repr(settings.redis_access)


def test_what_is_no_password_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    text = described(monkeypatch, SHELM_REDIS_URL="redis://redis:6379/0", SHELM_AGENTS="models/a@b")
    assert "redis_url=redis://redis:6379/0" in text
    assert "agents=models/a@b" in text


def described(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return describe(load_settings(PolicyServerSettings))
