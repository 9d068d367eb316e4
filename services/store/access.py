"""`RedisAccess`: the address of a Redis with the files that belong to it, and what a client library is given of them.

Contract: nothing of an address is ever part of an error or of the printed form. The files are read at each new connection.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import redis.asyncio
from redis.credentials import CredentialProvider

CLUSTER = "cluster+"  # before redis:// or rediss://: the address is one node of a Redis Cluster


def check_redis_url(value: str) -> str:
    """A validator for the address of a Redis. ValueError says what to write; it never holds a part of the address."""
    try:
        redis.asyncio.connection.parse_url(value.removeprefix(CLUSTER))
        parts = urlsplit(value)
        # An @ behind the host: a password with a raw / ? or # has ended the host too early, and names a part of it.
        cut = "@" in parts.path + parts.fragment or ("@" in parts.query and "=" not in parts.query)
    except ValueError:
        cut = True
    if cut and not value.startswith("unix:"):
        form = f"[{CLUSTER}]redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]"
        raise ValueError(f"expected {form}, with / ? # and @ of a password written as %2F %3F %23 and %40")
    return value


@dataclass(frozen=True)
class RedisAccess:
    """url: as check_redis_url accepts it. The others are names of files, empty for none."""

    url: str = field(repr=False)
    password_file: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""

    @property
    def cluster(self) -> bool:
        """Whether the address is a node of a Redis Cluster."""
        return self.url.startswith(CLUSTER)

    @property
    def encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.url.removeprefix(CLUSTER).startswith("rediss:")

    @property
    def holds_password(self) -> bool:
        """Whether the address holds a password."""
        parts = urlsplit(self.url)
        return bool(parts.password) or "password=" in parts.query

    @property
    def plain_url(self) -> str:
        """The address for the client library: without user where the password comes from a file, with its user."""
        url = self.url.removeprefix(CLUSTER)
        if not self.password_file:
            return url
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def password(self) -> str:
        """What the file holds, without the end of its line; OSError, ValueError."""
        password = Path(self.password_file).read_text().rstrip("\r\n")
        if not password:
            raise ValueError("holds no password")
        return password

    def options(self) -> dict[str, Any]:
        """Keyword arguments of the client library, beside the address."""
        found: dict[str, Any] = {"credential_provider": _FromFile(self)} if self.password_file else {}
        files = {"ssl_ca_certs": self.ca, "ssl_certfile": self.certificate, "ssl_keyfile": self.key}
        return found | {name: file for name, file in files.items() if file}


class _FromFile(CredentialProvider):
    """Reads the password at each new connection."""

    def __init__(self, access: RedisAccess) -> None:
        self._access = access
        self._user = unquote(urlsplit(access.url).username or "")

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """(password,) or (user, password)."""
        password = self._access.password()
        return (self._user, password) if self._user else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """The same; a file this small is read at once."""
        return self.get_credentials()
