"""Settings of a process that uses the episodes' Redis: where it is, and what both sides show each other.

Contract: `redis_access` is all that `connect_redis` needs. The password's file and the certificates are read at each new
connection, so that they can be replaced. Failure policy: what cannot be used raises CannotStart, one line that begins with
the variable's name; nothing of an address or a password is told.
"""

from pydantic import Field, field_validator

from services.runtime.checks import CannotStart
from services.runtime.settings import ServerSettings
from services.runtime.tls import TlsFiles
from services.store.access import RedisAccess, check_redis_url
from services.store.redis import why_away

_TLS = {"certificate": "SHELM_REDIS_CERT", "key": "SHELM_REDIS_KEY", "authority": "SHELM_REDIS_CA"}


class RedisSettings(ServerSettings):
    """Settings of the connections to Redis."""

    redis_url: str = Field("redis://127.0.0.1:6379/0", repr=False, description="where the episodes are; rediss:// for TLS")
    redis_password_file: str = Field("", description="file with Redis's password, for a URL that holds none")
    redis_ca: str = Field("", description="file with the CA certificates of a rediss:// Redis; empty: those of the system")
    redis_cert: str = Field("", description="file with the certificate for a rediss:// Redis that asks for one")
    redis_key: str = Field("", description="file with that certificate's private key")
    redis_timeout: float = Field(2.0, gt=0, description="seconds for one answer of Redis")

    _redis = field_validator("redis_url")(check_redis_url)

    def check(self) -> None:
        """Raises CannotStart if something that these settings name cannot be used, as far as a second tells."""
        super().check()
        self._check_files()

    def away(self) -> list[str]:
        """Redis, if it does not answer."""
        return [f"SHELM_REDIS_URL: {problem}" for problem in why_away(self.redis_access)]

    @property
    def redis_access(self) -> RedisAccess:
        """The address with what belongs to it."""
        files = (self.redis_password_file, self.redis_ca, self.redis_cert, self.redis_key)
        return RedisAccess(self.redis_url, *files)

    def _check_files(self) -> None:
        access = self.redis_access
        if self.redis_password_file:
            try:
                access.password()
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                raise CannotStart(f"SHELM_REDIS_PASSWORD_FILE: {self.redis_password_file}: {why}") from None
            if access.holds_password:
                raise CannotStart(
                    "SHELM_REDIS_PASSWORD_FILE: SHELM_REDIS_URL holds a password as well; give it in one place"
                )
        given = {"SHELM_REDIS_CA": self.redis_ca, "SHELM_REDIS_CERT": self.redis_cert, "SHELM_REDIS_KEY": self.redis_key}
        for variable, file in given.items():
            if file and not access.encrypted:
                raise CannotStart(f"{variable}: needs a SHELM_REDIS_URL that begins with rediss://")
        if bool(self.redis_cert) != bool(self.redis_key):
            raise CannotStart("SHELM_REDIS_CERT: is needed with SHELM_REDIS_KEY, and the other way round")
        TlsFiles(_TLS, certificate=self.redis_cert, key=self.redis_key, authority=self.redis_ca)
