"""Surface: HTTP requests of the inspector's page: methods, paths, queries, headers, bodies.

`inputs(seed, n)` yields the bytes of requests; `check` sends one over a connection of its own. What must hold: a status that
the inspector documents, never 500, or a closed connection where the bytes are no HTTP.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_from_bytes

import numpy as np
from fuzz_live import SECRETS, Served, Wrong
from fuzz_messages import NUMBERS, Choose, damage, pick, text

SECONDS, PATIENCE = 20.0, 0.3  # for a request, and for half of one
# services/inspector/errors.py, and what the HTTP server and the framework answer by themselves.
STATUSES = {200, 204, 206, 304, 307, 400, 401, 403, 404, 405, 409, 410, 412, 414, 416, 429, 431, 501}
PATHS = (
    "/",
    "/healthz",
    "/static/main.js",
    "/static/{x}",
    "/api/agents",
    "/api/agents/{x}",
    "/api/offers",
    "/api/overview",
    "/api/episodes",
    "/api/archive",
    "/api/{x}",
    "/{x}",
)
OF_AN_EPISODE = (
    "",
    "/memory",
    "/live",
    "/frames/{n}",
    "/explain/{n}",
    "/whatif/{n}",
    "/branch/{n}",
    "/export/jsonl",
    "/export/{x}",
    "/{x}",
    "/memory/{n}",
)
HEADERS = (
    *("Host", "Origin", "Sec-Fetch-Site", "Range", "If-None-Match", "If-Modified-Since", "Accept", "Accept-Encoding"),
    *("Connection", "Cookie", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Last-Event-ID", "Upgrade", "Expect"),
)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


def inputs(seed: int, n: int) -> Iterator[bytes]:
    """Yields n requests; the same seed gives the same ones."""
    choose = np.random.default_rng(seed)
    for _ in range(n):
        whole = _request(choose)
        yield damage(choose, whole) if choose.integers(5) == 0 else whole


def _request(choose: Choose) -> bytes:
    if choose.integers(3):
        name = "fuzz" if choose.integers(2) else _quoted(choose)
        path = f"/api/episodes/{name}" + pick(choose, OF_AN_EPISODE)
    else:
        path = pick(choose, PATHS)
    path = path.replace("{x}", _quoted(choose)).replace("{n}", _number(choose))
    if choose.integers(2):
        names = ("from", "limit", "after", "x", "from")
        query = "&".join(f"{pick(choose, names)}={_number(choose)}" for _ in range(int(choose.integers(1, 4))))
        path += "?" + query
    method = pick(choose, ("GET",) * 12 + ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "X" * 50))
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Connection: close"]
    if choose.integers(4):
        lines.append(b"X-Shelm-Page: 1")
    if choose.integers(8):
        lines.append(f"Authorization: Bearer {SECRETS[pick(choose, ('act', 'read', 'admin', 'inner'))]}".encode())
    for _ in range(int(pick(choose, (0, 0, 1, 2, 5)))):
        lines.append(f"{pick(choose, HEADERS)}: ".encode() + _value(choose))
    body = choose.bytes(int(pick(choose, (0, 0, 0, 10, 2000))))
    if body or choose.integers(10) == 0:
        lines.append(f"Content-Length: {pick(choose, (len(body), len(body), 0, *NUMBERS))}".encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + bytes(body)


def _quoted(choose: Choose) -> str:
    kind = choose.integers(3)
    if kind == 0:
        return quote(text(choose)[:3000], safe="" if choose.integers(2) else "/")
    if kind == 1:
        return quote_from_bytes(choose.bytes(int(choose.integers(1, 60))), safe="")
    return str(
        pick(choose, ("%2e%2e", "..%2f..%2fapp.py", "%2e%2e/%2e%2e/etc/passwd", "%", "%zz", "%ed%a0%80", "index.html"))
    )


def _number(choose: Choose) -> str:
    kind = choose.integers(5)
    if kind == 0:
        return str(int(choose.integers(0, 6)))
    if kind == 1:
        return str(pick(choose, NUMBERS))
    if kind == 2:
        return "9" * int(choose.integers(1, 6000))
    if kind == 3:
        return str(pick(choose, ("-1", "1.5", "1e3", "0x10", "+1", "%20", "%C2%B2", "%D9%A3", "", "NaN", "01", "1_0")))
    return _quoted(choose)


def _value(choose: Choose) -> bytes:
    kind = choose.integers(4)
    if kind == 0:
        return bytes(one for one in choose.bytes(int(choose.integers(0, 80))) if one not in (10, 13, 0))
    if kind == 1:
        return b"x" * int(choose.integers(1, 20_000))
    known = (
        b"*/*",
        b"bytes=0-0",
        b"bytes=0-0,1-1",
        b"bytes=-1",
        b"cross-site",
        b"same-origin",
        b"null",
        b"http://127.0.0.1",
    )
    return bytes(pick(choose, (*known, b"127.0.0.1", b"evil.example", b"100-continue", b"websocket", b"keep-alive")))


def complete(data: bytes) -> bool:
    """Whether these bytes are a whole request, after which a server need not wait for more."""
    head, end, body = data.partition(b"\r\n\r\n")
    lengths = re.findall(rb"(?im)^content-length:\s*(\d+)\s*$", head)
    return bool(end) and b"ransfer-" not in head and all(len(one) < 9 and int(one) <= len(body) for one in lengths)


class Session:
    """Sends requests to the inspector."""

    def __init__(self, live: Served) -> None:
        self._live = live

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def check(self, data: bytes) -> bool:
        """Sends one request; returns whether it was answered with 2xx. Raises whatever must not happen."""
        reader, writer = await asyncio.open_connection(*self._live.page, limit=2**17)
        head = b""
        try:
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
                head = await asyncio.wait_for(reader.read(2**12), SECONDS if complete(data) else PATIENCE)
        except TimeoutError:
            if complete(data):
                raise Wrong("no answer and no end of the connection") from None
        finally:
            writer.close()
        found = _STATUS.match(head)
        status = int(found.group(1)) if found else 0
        self._live.told[str(status or "closed")] += 1
        if found and status not in STATUSES and not 100 <= status < 200:
            raise Wrong(f"status {status}: {head[-200:]!r}")
        return 200 <= status < 300
