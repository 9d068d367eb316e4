"""Answers that come from a proxy, not from the server, as gRPC gives them for real bytes of HTTP/2 (support/http2.py)."""

import http.server
import threading

import pytest
from shelm import AsyncClient, Client, ShelmError, errors
from support import http2
from support.http2 import answering
from support.stand_in import frame


def failure(target: str) -> ShelmError:
    """What an Act fails with that is tried once."""
    with Client(target, timeout=10, retry_for=0) as client, pytest.raises(ShelmError) as caught:
        client.act(frame(0), "a")
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "retryable", "says"),
    [
        (400, errors.ProxyError, False, "takes the request for malformed"),
        (401, errors.Unauthenticated, False, "credentials of its own"),
        (403, errors.PermissionDenied, False, "/shelm.v1.AgentService/"),
        (404, errors.ProxyError, False, "no such path"),
        (413, errors.ProxyError, False, "client_max_body_size"),
        (429, errors.Overloaded, True, "limits the rate"),
        (500, errors.ProxyError, False, "log"),
        (502, errors.ProxyError, True, "reached no server"),
        (503, errors.ProxyError, True, "no server to pass the call to"),
        (504, errors.ProxyError, True, "grpc_read_timeout"),
    ],
)
def test_an_http_status_says_that_a_proxy_gave_it_and_what_to_do(
    status: int, kind: type[ShelmError], says: str, *, retryable: bool
) -> None:
    with answering(http2.status(status)) as target:
        error = failure(target)
    assert (type(error), error.retryable) == (kind, retryable)
    assert f"a proxy at {target} answers: HTTP {status}" in str(error)
    assert says in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("code", [http2.INTERNAL_ERROR, http2.REFUSED_STREAM, http2.CANCEL, http2.ENHANCE_YOUR_CALM])
def test_a_stream_that_was_reset_may_be_tried_again(code: int) -> None:
    with answering(http2.reset(code)) as target:
        error = failure(target)
    assert isinstance(error, errors.ProxyError)
    assert error.retryable
    assert f"reset on the way (HTTP/2 error {code})" in str(error)


async def test_the_asyncio_client_says_the_same() -> None:
    with answering(http2.status(413)) as target:
        async with AsyncClient(target) as client:
            with pytest.raises(errors.ProxyError, match="body limit"):
                await client.act(frame(0), "a")


def test_an_answer_without_grpcs_status_is_that_of_a_proxy_without_grpc() -> None:
    with answering(http2.status(200)) as target:
        assert "grpc_pass" in str(failure(target))


def test_a_server_of_http_1_is_said_to_be_the_wrong_one() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        error = failure(f"127.0.0.1:{server.server_port}")
        server.shutdown()
    assert "does not speak gRPC" in str(error)
    assert "check the port" in str(error)
