"""Surface: the authorization of a call, and the HTTP/2 frames that carry it.

Half of the inputs are headers that a client library lets through; an answer other than UNAUTHENTICATED needs a token that is
in the file, to the letter. The other half are bytes on a connection: headers that no library sends, damaged frames; there no
answer is read, and the server must go on.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import Iterator

import fuzz_live
import grpc
import numpy as np
from fuzz_live import SECONDS, SECRETS, Wrong
from fuzz_messages import damage, pick
from support.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS

METHODS = ("/shelm.v1.AgentService/ListAgents", "/shelm.v1.AgentService/GetEpisode", "/shelm.v1.AgentService/Act")
INNER = ("/shelm.internal.v1.RetrievalService/GetVocabulary", "/shelm.internal.v1.MemoryService/GetMemoryStats")
SERVICES = {"RetrievalService": "retrieval", "MemoryService": "memory", "AgentService": "policy"}
SCHEMES = ("Bearer ", "bearer ", "BEARER ", "Basic ", "Bearer", "", "Bearer  ", "Token ", "Bearer Bearer ")
LATEST = 3.0  # seconds in which a damaged connection is given up


def inputs(seed: int, n: int) -> Iterator[bytes]:
    """Yields n: a line of JSON with the method, and a header (`text`) or the bytes of a connection."""
    choose = np.random.default_rng(seed)
    for _ in range(n):
        method = pick(choose, METHODS + INNER)
        secret = pick(choose, list(SECRETS.values()))
        if choose.integers(2):
            value = pick(choose, SCHEMES) + _altered(choose, secret)
            yield json.dumps({"method": method, "kind": "text"}).encode() + b"\n" + value.encode()
        else:
            yield json.dumps({"method": method, "kind": "wire"}).encode() + b"\n" + _connection(choose, method, secret)


def _altered(choose: np.random.Generator, secret: str) -> str:
    end = pick(choose, (" ", "x", ",", secret, " Bearer " + secret))
    odd = "".join(chr(int(one)) for one in choose.integers(0x21, 0x7F, size=int(choose.integers(0, 200))))
    word = pick(choose, ("", "*", "%", "simulators", "operator", "acme", "null", "undefined", "#", "admin"))
    cut, long = secret[: int(choose.integers(len(secret)))], "x" * int(choose.integers(1, 7000))
    return str(pick(choose, (secret, cut, secret + end, secret.upper(), secret[::-1] + "x", odd, long, word)))


def _connection(choose: np.random.Generator, method: str, secret: str) -> bytes:
    value = f"Bearer {secret}".encode()
    value = damage(choose, value) if choose.integers(2) else choose.bytes(int(choose.integers(0, 120)))
    headers = [
        *((b":method", b"POST"), (b":scheme", b"http"), (b":path", method.encode()), (b":authority", b"x")),
        *((b"te", b"trailers"), (b"content-type", b"application/grpc"), (b"authorization", value[:126])),
    ]
    if choose.integers(3) == 0:
        headers.append((damage(choose, b"authorization")[:126], value[:126]))
    block = b"".join(b"\x00" + bytes([len(name)]) + name + bytes([len(one)]) + one for name, one in headers)
    body = b"\x00" + struct.pack(">I", int(pick(choose, (0, 0, 1, 2**31, 2**32 - 1))))
    frames = _frame(SETTINGS, 0, 0) + _frame(HEADERS, END_HEADERS, 1, block) + _frame(DATA, END_STREAM, 1, body)
    if choose.integers(3) == 0:
        frames += b"".join(_frame(RST_STREAM, 0, stream, bytes(4)) for stream in range(1, int(choose.integers(3, 200)), 2))
    return PREFACE + (damage(choose, frames) if choose.integers(2) else frames)


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Session(fuzz_live.ToServices):
    """`check` may be called for several inputs at once."""

    async def check(self, data: bytes) -> bool:
        """Sends one input; returns whether a token was taken. Raises whatever must not happen."""
        line, _, rest = data.partition(b"\n")
        head = json.loads(line)
        service = SERVICES[head["method"].rpartition("/")[0].rpartition(".")[2]]
        if service not in self._channels:  # in one process with policy
            return False
        if head["kind"] == "wire":
            return await self._wire(self._live.targets[service], rest)
        return await self._text(service, head["method"], rest.decode())

    async def _text(self, service: str, method: str, value: str) -> bool:
        known = value.startswith("Bearer ") and value.removeprefix("Bearer ") in self._live.secrets
        try:
            call = self._channels[service].unary_unary(method, None, None)
            await call(b"", metadata=(("authorization", value),), timeout=SECONDS)
        except grpc.aio.AioRpcError as error:
            reason = fuzz_live.judged(error)
            self._live.told[reason] += 1
            if known == (reason == "UNAUTHENTICATED"):
                raise Wrong(f"{reason} for {value[:60]!r}, which is {'' if known else 'not '}in the file") from None
            return False
        self._live.told["OK"] += 1
        if not known:
            raise Wrong(f"an answer for {value[:60]!r}, which is not in the file")
        return True

    async def _wire(self, target: str, data: bytes) -> bool:
        host, _, port = target.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(data)
            with contextlib.suppress(ConnectionError, TimeoutError):
                await writer.drain()
                await asyncio.wait_for(reader.read(2**16), LATEST)
        finally:
            writer.close()
        self._live.told["connection"] += 1
        return False
