"""Settings of the inspector, read from the environment (prefix SHELM_)."""

from typing import Literal

from pydantic import Field, field_validator

from services.runtime.logs import LogFormat
from services.runtime.settings import check_address
from services.runtime.transport import BackendSettings


class InspectorSettings(BackendSettings):
    """Settings of the inspector. It has no token: each viewer's own token is passed on, and the public API enforces the
    scopes.
    """

    inspector_listen: str = Field("127.0.0.1:8080", description="HOST:PORT of the web page")
    inspector_target: str = Field("127.0.0.1:50051", description="HOST:PORT of the public API")
    inspector_timeout: float = Field(10.0, gt=0, description="timeout in seconds of calls to the public API")
    inspector_metrics: str = Field(
        "", description="HOST:PORT[,HOST:PORT...] of the services' metrics, for the overview, of all tenants; empty: none"
    )
    inspector_max_viewers: int = Field(256, gt=0, description="maximum number of live streams to browsers")
    inspector_branches: bool | None = Field(
        None, description="let the page make branches of episodes; unset: only where it listens on loopback"
    )
    allow_anonymous: bool = Field(False, description="allow an API without tokens beyond loopback")
    stop_grace: float = Field(5.0, ge=0, description="seconds that running calls get when the service stops")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: LogFormat = Field("text", description="text: a line per event; json: an object per event")

    _addresses = field_validator("inspector_listen", "inspector_target")(check_address)

    @property
    def metrics(self) -> list[str]:
        """The addresses of the services' metrics."""
        return [one for part in self.inspector_metrics.split(",") if (one := part.strip())]

    @field_validator("inspector_metrics")
    @classmethod
    def _check_metrics(cls, value: str) -> str:
        for part in value.split(","):
            if part.strip():
                check_address(part.strip())
        return value

    def check(self) -> None:
        """Raises CannotStart if the page may not be served at its address, or a certificate cannot be used."""
        self.server_tls()
        self.backend_tls()
        self.check_transport("SHELM_INSPECTOR_LISTEN", self.inspector_listen)
