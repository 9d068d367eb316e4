"""Settings of what protects connections: TLS of the server and of its calls of others, or the word that it needs none.

Failure policy: what cannot be used raises CannotStart, one line that begins with the variable's name.
"""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.runtime.checks import CannotStart, check_encrypted
from services.runtime.names import PREFIX
from services.runtime.tls import CLIENT, SERVER, TlsFiles


class TransportSettings(BaseSettings):
    """Settings of a server that may listen beyond its machine."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    tls_cert: str = Field(
        "", description="file with the certificate (PEM, whole chain); empty: no TLS. Read again when it changes"
    )
    tls_key: str = Field("", description="file with the certificate's private key (PEM, without a password)")
    tls_client_ca: str = Field(
        "", description="file with CA certificates: clients need one that these have signed; empty: none"
    )
    allow_plaintext: bool = Field(False, description="listen beyond loopback without TLS")

    def check_transport(self, variable: str, listen: str) -> None:
        """Raises CannotStart if the address can be reached from elsewhere, without TLS and without the word that it may."""
        if not self.tls_cert and not self.allow_plaintext:
            check_encrypted(variable, listen)

    def server_tls(self) -> TlsFiles | None:
        """What the server shows and asks for; None without TLS. CannotStart."""
        own = self._own_certificate()
        if self.tls_client_ca and not own:
            raise CannotStart("SHELM_TLS_CLIENT_CA: needs TLS; set SHELM_TLS_CERT and SHELM_TLS_KEY as well")
        return TlsFiles(SERVER, **own, authority=self.tls_client_ca) if own else None

    def _own_certificate(self) -> dict[str, str]:
        if bool(self.tls_cert) != bool(self.tls_key):
            given, other = ("SHELM_TLS_CERT", "SHELM_TLS_KEY") if self.tls_cert else ("SHELM_TLS_KEY", "SHELM_TLS_CERT")
            raise CannotStart(f"{other}: is needed with {given}")
        return {"certificate": self.tls_cert, "key": self.tls_key} if self.tls_cert else {}


class BackendSettings(TransportSettings):
    """Settings of a server that calls others of ours."""

    backend_ca: str = Field(
        "", description="file with the CA certificates of the servers that this one calls; empty: it calls them without TLS"
    )

    def backend_tls(self) -> TlsFiles | None:
        """What those servers are checked with, and the own certificate for those that ask for one; None without TLS."""
        return TlsFiles(CLIENT, **self._own_certificate(), authority=self.backend_ca) if self.backend_ca else None
