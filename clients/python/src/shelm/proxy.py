"""Failures that come from something between client and server: a proxy, a load balancer, or another server at the address.

gRPC makes one of its own codes of them and puts what happened into the details, as `Received http2 header with status: 413`
or `RST_STREAM with error code 2`. Contract: `proxy_error` knows these texts, of grpcio 1.49 and later, and gives each an
error that says where it comes from and what to change. Every call of the API may be repeated, so a stream that was reset is
retried whatever the reason; an HTTP status is where waiting may help.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import grpc

from shelm import errors

STATUS = re.compile(r"http2 header with status: (\d{3})")
RESET = re.compile(r"RST_STREAM with error code (\d+)")
NO_TRAILERS = re.compile(r"Stream removed|END_STREAM flag received")
NO_HTTP2 = re.compile(r"Failed parsing HTTP/2|connect an http1\.x server|Expected SETTINGS frame")


class Answer(NamedTuple):
    """What an HTTP status means for the caller."""

    meaning: str
    advice: str
    retryable: bool = False
    kind: type[errors.ShelmError] = errors.ProxyError


LOG = "look into the proxy's log"
ANSWERS = {
    400: Answer("takes the request for malformed", "let it pass gRPC (HTTP/2 with trailers) to the server unchanged"),
    401: Answer("asks for credentials of its own", "give it those that it expects", kind=errors.Unauthenticated),
    403: Answer("forbids the call", "let it pass /shelm.v1.AgentService/ to the server", kind=errors.PermissionDenied),
    404: Answer(
        "knows no such path", "check the target; a proxy must pass /shelm.v1.AgentService/ and /grpc.health.v1.Health/"
    ),
    408: Answer("waited too long for the request", "send less at once, or raise its read timeout", retryable=True),
    413: Answer(
        "takes no request of this size",
        'raise its body limit (nginx: client_max_body_size), send PNG (encoding="png"), or fewer frames at once',
    ),
    429: Answer("limits the rate", "send less at once, or raise its limit", retryable=True, kind=errors.Overloaded),
    431: Answer("takes no headers of this size", "shorten the token, or raise its header limit"),
    502: Answer("reached no server", "check that the server runs where the proxy looks for it", retryable=True),
    503: Answer("has no server to pass the call to", "check that the server runs and is ready", retryable=True),
    504: Answer("waited too long for the server", "raise its timeout (nginx: grpc_read_timeout)", retryable=True),
}


def proxy_error(code: grpc.StatusCode, details: str, *, target: str) -> errors.ShelmError | None:
    """Returns the error for a failure without details of the server's, or None if it does not look like a proxy's."""
    if found := STATUS.search(details):
        return _answered(int(found[1]), code, target)
    if found := RESET.search(details):
        return errors.ProxyError(
            f"the stream to {target} was reset on the way (HTTP/2 error {found[1]})", code=code, retryable=True
        )
    if code is grpc.StatusCode.UNKNOWN and NO_TRAILERS.search(details):
        text = f"the answer from {target} ended without gRPC's status"
        advice = "if it does so always, a proxy passes HTTP but not gRPC (nginx: grpc_pass, not proxy_pass)"
        return errors.ProxyError(text, code=code, retryable=True, advice=advice)
    if NO_HTTP2.search(details):
        text = f"{target} does not speak gRPC: {details}"
        advice = "check the port (the inspector has another), and use tls=True (--tls) if the server is behind TLS"
        return errors.ProxyError(text, code=code, retryable=True, advice=advice)
    return None


def _answered(status: int, code: grpc.StatusCode, target: str) -> errors.ShelmError:
    answer = ANSWERS.get(status, Answer("does not pass the call on", LOG))
    text = f"not the server, but a proxy at {target} answers: HTTP {status}, it {answer.meaning}"
    return answer.kind(text, code=code, retryable=answer.retryable, advice=answer.advice)
