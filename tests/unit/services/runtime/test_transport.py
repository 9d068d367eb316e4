"""What must be set for a server to listen beyond its machine, and that half a setting is named."""

import os
from pathlib import Path

import pytest
from support.certificates import Authority

from services.runtime.checks import CannotStart
from services.runtime.transport import BackendSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("SHELM_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1"])
def test_beyond_loopback_needs_tls_or_the_word_that_it_may_be_plain(listen: str, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"SHELM_LISTEN: .*SHELM_TLS_CERT and SHELM_TLS_KEY, or SHELM_ALLOW_PLAINTEXT"):
        BackendSettings.model_validate({}).check_transport("SHELM_LISTEN", listen)
    BackendSettings.model_validate({"allow_plaintext": True}).check_transport("SHELM_LISTEN", listen)
    certificate, key = Authority(tmp_path).issue()
    BackendSettings.model_validate({"tls_cert": str(certificate), "tls_key": str(key)}).check_transport(
        "SHELM_LISTEN", listen
    )


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/run/x"])
def test_loopback_needs_neither(listen: str) -> None:
    BackendSettings.model_validate({}).check_transport("SHELM_LISTEN", listen)


def test_without_settings_there_is_no_tls() -> None:
    assert BackendSettings.model_validate({}).server_tls() is None
    assert BackendSettings.model_validate({}).backend_tls() is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tls_cert": "x"}, "SHELM_TLS_KEY: is needed with SHELM_TLS_CERT"),
        ({"tls_key": "x"}, "SHELM_TLS_CERT: is needed with SHELM_TLS_KEY"),
        ({"tls_client_ca": "x"}, "SHELM_TLS_CLIENT_CA: needs TLS"),
        ({"tls_cert": "no-such", "tls_key": "no-such"}, "SHELM_TLS_CERT: no-such: No such file"),
    ],
)
def test_half_a_setting_is_named(given: dict[str, str], says: str) -> None:
    with pytest.raises(CannotStart, match=says):
        BackendSettings.model_validate(given).server_tls()


def test_the_own_certificate_is_shown_to_backends_that_ask(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue()
    settings = BackendSettings.model_validate(
        {"tls_cert": str(certificate), "tls_key": str(key), "backend_ca": str(authority.ca)}
    )
    files = settings.backend_tls()
    assert files is not None
    assert files.now() == (certificate.read_bytes(), key.read_bytes(), authority.ca.read_bytes())
    with pytest.raises(CannotStart, match="SHELM_BACKEND_CA: no-such"):
        BackendSettings.model_validate({"backend_ca": "no-such"}).backend_tls()
