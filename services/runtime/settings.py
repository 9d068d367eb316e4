"""Settings that every service has, read from the environment (prefix SHELM_).

Contract: one typed object per service, printed at start with secrets masked. Nothing here imports torch, so that a bad
value answers at once. Failure policy: a bad value, or a variable whose name is nearly one of ours, stops the start with the
name of the variable; what the values name is checked by `check`.
"""

import os
import re
import sys
from typing import TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings

from services.runtime.checks import check_free, check_private, tokens_in
from services.runtime.logs import LogFormat
from services.runtime.names import PREFIX, misspelt
from services.runtime.transport import TransportSettings


class ServerSettings(TransportSettings):
    """Settings of every server; each service adds its own. A field with repr=False may hold a secret."""

    tokens_file: str = Field(
        "", description="file with bearer tokens, one `TOKEN [NAME [SCOPES]] [tenant=TENANT]` a line; empty: none needed"
    )
    allow_anonymous: bool = Field(False, description="listen beyond loopback without tokens")
    metrics_listen: str = Field("", description="HOST:PORT for Prometheus; empty: off")
    traces: str = Field("", description="HOST:PORT, or http(s)://HOST:PORT, of an OTLP collector's gRPC port; empty: off")
    traces_ratio: float = Field(0.01, ge=0, le=1, description="of the traces that begin here, how many are sampled")
    max_message_bytes: int = Field(
        64 * 2**20, gt=0, description="largest message accepted; policy takes less where its agents' frames are small"
    )
    message_timeout: float = Field(20.0, gt=0, description="seconds in which the message of a call must arrive")
    max_streams: int = Field(256, gt=0, description="calls of one connection at once; its client keeps further ones back")
    keepalive: float = Field(
        20.0, ge=1, le=3600, description="seconds without data after which a connection is pinged; as long for the answer"
    )
    connection_age: float = Field(
        300.0, ge=0, le=2**20, description="seconds until clients open another connection for further calls; 0: never"
    )
    connection_grace: float = Field(
        600.0, gt=0, le=2**20, description="seconds more that calls under way get on a connection of that age"
    )
    compression: bool = Field(False, description="take compressed requests")
    stop_grace: float = Field(5.0, ge=0, description="seconds that running calls get when the service stops")
    max_queue: int = Field(1024, gt=0, description="items that may wait in one queue")
    max_batch: int = Field(64, gt=0, description="items in one run")
    max_wait: float = Field(0.0, ge=0, description="seconds to wait for a fuller batch")
    torch_threads: int = Field(1, gt=0, description="threads of one model run")
    device: str = Field("cpu", description="torch device of the models")
    log_level: str = "INFO"
    log_format: LogFormat = Field("text", description="text: a line per event; json: an object per event")

    @field_validator("metrics_listen")
    @classmethod
    def _address_or_off(cls, value: str) -> str:
        return check_address(value) if value else value

    @field_validator("traces")
    @classmethod
    def _endpoint_or_off(cls, value: str) -> str:
        if value:
            check_address(value.removeprefix("https://").removeprefix("http://"))
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("expected DEBUG, INFO, WARNING or ERROR")
        return value

    def check(self) -> None:
        """Raises CannotStart if something that these settings name cannot be used, as far as a second tells."""
        tokens = tokens_in(self.tokens_file).now()
        self.server_tls()
        for variable, listen in self._listens().items():
            if variable != "SHELM_METRICS_LISTEN":  # which tells numbers alone, to whoever scrapes
                if not tokens and not self.allow_anonymous:
                    check_private(variable, listen)
                self.check_transport(variable, listen)
            check_free(variable, listen)

    def away(self) -> list[str]:
        """What cannot be reached now, in lines that begin with the variable; the service waits for it."""
        return []

    def _listens(self) -> dict[str, str]:
        values = self.model_dump()
        return {variable_of(name): value for name, value in values.items() if name.endswith("listen") and value}


def check_address(value: str) -> str:
    """A validator for HOST:PORT."""
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("expected HOST:PORT")
    return value


Settings = TypeVar("Settings", bound=BaseSettings)


def load_settings(kind: type[Settings]) -> Settings:
    """Reads the environment or ends the process with a line per bad variable."""
    lines = [f"{name}: unknown variable; did you mean {meant}?" for name, meant in misspelt(os.environ).items()]
    try:
        settings = kind()
    except ValidationError as error:
        for problem in error.errors():
            field = "_".join(str(part) for part in problem["loc"])
            lines.append(f"{variable_of(field)}: {problem['msg']}, got {_shown(kind, field, problem.get('input'))}")
    if lines:
        print("\n".join(lines), file=sys.stderr)
        sys.exit(2)
    return settings


def variable_of(field: str) -> str:
    """The variable that sets a field."""
    return PREFIX + field.upper()


def help_text(kind: type[BaseSettings]) -> str:
    """All variables of a service with their defaults and meanings, one a line."""
    fields = kind.model_fields.items()
    lines = [f"  {variable_of(name)} ({field.default!r}): {field.description or name}" for name, field in fields]
    return "\n".join(["variables (default):", *lines])


def describe(settings: BaseSettings) -> str:
    """All values on one line; passwords inside URLs are masked."""
    return " ".join(f"{key}={_masked(str(value))}" for key, value in settings.model_dump().items())


def _shown(kind: type[BaseSettings], field: str, value: object) -> str:
    """A value that was refused: nothing of one that may hold a secret, since what is malformed hides it anywhere."""
    known = kind.model_fields.get(field)
    return "a value that is not shown" if known and not known.repr else repr(_masked_malformed(str(value)))


def _masked(value: str) -> str:
    """Without what may be a password: all between // and the last @, since a password may hold any sign, an @ as well."""
    return re.sub(r"(?<=[?&]password=)[^&]*", "***", re.sub(r"//.*@", "//***@", value, flags=re.DOTALL))


def _masked_malformed(value: str) -> str:
    """The same for what should have been an address and may lack its //."""
    shown = _masked(value)
    return shown if shown != value else re.sub(r"^.*@", "***@", value, flags=re.DOTALL)
