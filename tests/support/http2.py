"""A stand-in for proxies: an HTTP/2 server that answers a gRPC call as a proxy does, without gRPC's trailers; and a client
that begins gRPC calls and sends no more than the beginning of their messages.

Just enough of HTTP/2 (RFC 9113) for that: the server reads frames until a request has come, and answers with a status, or
with a reset of the stream; the client sends the headers of its calls and some bytes.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
# RFC 9113, section 7
INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 2, 7, 8, 11


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header that is not compressed (RFC 7541, section 6.2.2)."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def half_sent(connection: socket.socket, method: str, calls: int) -> None:
    """Begins calls of a gRPC method, of whose messages of 1000 bytes ten follow. The streams are 1, 3, 5 and so on."""
    fixed = [(b":method", b"POST"), (b":scheme", b"http"), (b"te", b"trailers"), (b"content-type", b"application/grpc")]
    block = b"".join(_literal(*pair) for pair in [*fixed, (b":path", method.encode()), (b":authority", b"test")])
    connection.sendall(PREFACE + _frame(SETTINGS, 0, 0))
    for stream in range(1, 2 * calls, 2):
        part = _frame(DATA, 0, stream, b"\x00" + (1000).to_bytes(4, "big") + bytes(10))
        connection.sendall(_frame(HEADERS, END_HEADERS, stream, block) + part)


def ended(connection: socket.socket, calls: int) -> int:
    """Waits until the server has ended this many calls; returns how many it has, fewer if it closes the connection."""
    done = set[int]()
    with suppress(ConnectionError):
        while len(done) < calls:
            header = _exactly(connection, 9)
            _exactly(connection, int.from_bytes(header[:3], "big"))
            if header[3] == RST_STREAM or (header[3] == HEADERS and header[4] & END_STREAM):
                done.add(int.from_bytes(header[5:], "big"))
    return len(done)


def status(code: int) -> bytes:
    """The whole answer of a proxy that refuses: a status, and nothing of gRPC's."""
    block = _literal(b":status", str(code).encode()) + _literal(b"content-type", b"text/html")
    return _frame(HEADERS, END_HEADERS, 1, block) + _frame(DATA, END_STREAM, 1, b"<html>no</html>")


def reset(code: int) -> bytes:
    """The end of a stream that a proxy cuts."""
    return _frame(RST_STREAM, 0, 1, struct.pack(">I", code))


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def _answer(connection: socket.socket, answer: bytes) -> None:
    with connection, suppress(OSError):
        _exactly(connection, len(PREFACE))
        connection.sendall(_frame(SETTINGS, 0, 0))
        while True:
            header = _exactly(connection, 9)
            kind, flags = header[3], header[4]
            _exactly(connection, int.from_bytes(header[:3], "big"))
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(_frame(SETTINGS, ACK, 0))
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                connection.sendall(answer)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Serves on a free loopback port until the block ends, one call for each connection; gives the target."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=_answer, args=(server.accept()[0], answer), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
