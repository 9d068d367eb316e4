"""Bearer tokens from a file, which is read again when it changes.

A line is `TOKEN [NAME [SCOPES]] [tenant=TENANT] [acts=N] [episodes=N]`; scopes are separated by commas (default: act,read),
`#` begins a comment. A tenant sees its own episodes alone. A token without tenant has one to itself, named after NAME, so
that its secret can be replaced; `tenant=-` are the episodes without tenant, as a server without tokens has them. `admin`
sees the episodes of all. acts: Acts a second that the tenant may ask for; episodes: how many of it may be stored at once.

Failure policy: an unreadable, wrong or empty file stops the start, with the line; of a file that becomes wrong later the
tokens before it stay valid, and the log says why.
"""

import hashlib
import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)
INNER = "inner"  # of policy's calls of retrieval and memory
SCOPES = frozenset({"act", "read", "admin", INNER})
DEFAULT_SCOPES = frozenset({"act", "read"})
TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")
SHARED = "-"  # as a tenant: the episodes without one
AT = "@"  # before the tenant in the full name of an episode
OWN = "~"  # begins the tenant of a token that names none; no tenant that is named can begin so
LOOK_EVERY = 1.0  # seconds


@dataclass(frozen=True)
class Token:
    """One line of the file. tenant: whose episodes it is about; empty: those without tenant. acts, episodes: 0: no limit."""

    secret: str
    name: str
    scopes: frozenset[str]
    tenant: str = ""
    acts: float = 0.0
    episodes: int = 0

    @property
    def end(self) -> str:
        """What ends the full names of its tenant's episodes; empty where there is no tenant."""
        return f"{AT}{self.tenant}" if self.tenant else ""

    @property
    def admin(self) -> bool:
        """Whether it has every scope, and sees every tenant's episodes."""
        return "admin" in self.scopes

    def may(self, scope: str) -> bool:
        """Whether it has a scope."""
        return self.admin or scope in self.scopes


def read_tokens(path: Path) -> tuple[Token, ...]:
    """All tokens of a file; ValueError names the line that is wrong, OSError the file."""
    tokens = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if parts := line.partition("#")[0].split():
            try:
                tokens.append(_token(parts, number))
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from None
    if not tokens:
        raise ValueError(f"{path}: holds no token")
    return tuple(tokens)


def _token(parts: list[str], number: int) -> Token:
    plain = [part for part in parts[1:] if "=" not in part]
    options = dict(part.split("=", 1) for part in parts[1:] if "=" in part)
    if len(plain) > 2:
        raise ValueError(f"expected TOKEN [NAME [SCOPES]] and NAME=VALUE, got {len(plain) + 1} words")
    scopes = frozenset(plain[1].split(",")) if len(plain) > 1 else DEFAULT_SCOPES
    if unknown := scopes - SCOPES:
        raise ValueError(f"unknown scope {sorted(unknown)[0]!r}, expected {', '.join(sorted(SCOPES))}")
    name, tenant = plain[0] if plain else "", options.pop("tenant", "")
    if "admin" in scopes:
        if tenant:
            raise ValueError("tenant: a token with the scope admin sees every tenant's episodes, and has none")
        tenant = SHARED
    quotas = {key: _number(key, options.pop(key, "0")) for key in ("acts", "episodes")}
    if options:
        raise ValueError(f"unknown option {next(iter(options))!r}, expected tenant, acts, episodes")
    own = _tenant(tenant, name, parts[0])
    return Token(parts[0], name or f"line {number}", scopes, own, quotas["acts"], int(quotas["episodes"]))


def _tenant(given: str, name: str, secret: str) -> str:
    if given == SHARED:
        return ""
    if given and not TENANT.fullmatch(given):
        raise ValueError(f"tenant: expected {SHARED} or 1..64 characters of [A-Za-z0-9._-]")
    own = name if TENANT.fullmatch(name) else hashlib.sha256(secret.encode()).hexdigest()[:16]
    return given or OWN + own


def _number(key: str, value: str) -> float:
    if not re.fullmatch(r"\d{1,12}" if key == "episodes" else r"\d{1,9}(\.\d{1,6})?", value):
        raise ValueError(f"{key}: expected a number from 0 on")
    return float(value)


class TokensFile:
    """The tokens of a file as it is now; none where no file is named. OSError and ValueError at the first reading."""

    def __init__(self, file: str) -> None:
        self._path = Path(file) if file else None
        self._seen, self._next = self._stamp(), time.monotonic() + LOOK_EVERY
        self._take(read_tokens(self._path) if self._path else ())

    def now(self) -> tuple[Token, ...]:
        """All tokens; looks at the file at most once a second."""
        if self._path and time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOK_EVERY
            if (stamp := self._stamp()) != self._seen:
                self._seen = stamp
                self._read_again(self._path)
        return self._tokens

    def secret(self, scope: str) -> str:
        """The first token that has a scope by name, else the first admin's; empty where there is neither."""
        tokens = self.now()
        able = [token.secret for token in tokens if scope in token.scopes] + [one.secret for one in tokens if one.admin]
        return able[0] if able else ""

    def quotas(self) -> Mapping[str, Token]:
        """By tenant, the first token of it that states a limit."""
        self.now()
        return self._quotas

    def _take(self, tokens: tuple[Token, ...]) -> None:
        self._tokens = tokens
        limited = [token for token in tokens if token.acts or token.episodes]
        self._quotas = {token.tenant: token for token in reversed(limited)}

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path) if self._path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size) if found else None

    def _read_again(self, path: Path) -> None:
        try:
            self._take(read_tokens(path))
        except (OSError, ValueError) as error:
            log.error("the tokens before stay valid, because the file cannot be used: %s", error)
        else:
            log.info("%d tokens were read again", len(self._tokens))
