"""Channels to a server: a connection that goes silent is noticed, over real sockets, and when one is given up."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from faults_relay import relay_to
from shelm import channel
from shelm.channel import Silence, channel_options
from support.waiting import wait_for


@pytest.fixture
def target() -> Iterator[str]:
    """A server that answers what it is asked."""
    options = [("grpc.so_reuseport", 0), ("grpc.http2.min_ping_interval_without_data_ms", 100)]
    server = grpc.server(ThreadPoolExecutor(2), options=options)
    handler = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Y", {"Z": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0)


def test_a_silent_connection_fails_the_calls_on_it_and_later_ones_connect_anew(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "KEEPALIVE", 0.5)
    monkeypatch.setattr(channel, "PATIENCE", 3)
    with relay_to(target) as relay, grpc.insecure_channel(relay.target, options=channel_options()) as opened:
        call = opened.unary_unary("/x.Y/Z", None, None)
        assert call(b"one") == b"one"
        time.sleep(2)  # pings alone
        relay.forget()
        with pytest.raises(grpc.RpcError) as failed:
            call(b"lost", timeout=30)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE

        def answered() -> bool:
            try:
                return bool(call(b"two", timeout=30) == b"two")
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                return False  # it began on the old connection, which gRPC closes after what it is writing

        wait_for("there is a connection that works", answered)
        assert relay.accepted == 2


def test_a_new_channel_does_not_share_the_connection_of_another(target: str) -> None:
    with relay_to(target) as relay:
        for number in (1, 2):
            opened = grpc.insecure_channel(relay.target, options=channel_options())
            assert opened.unary_unary("/x.Y/Z", None, None)(b"x", timeout=30) == b"x"
            assert relay.accepted == number


class Failure(grpc.RpcError):
    """As gRPC raises it."""

    def __init__(self, code: grpc.StatusCode, trailers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__()
        self._code, self._trailers = code, trailers

    def code(self) -> grpc.StatusCode:
        return self._code

    def trailing_metadata(self) -> Any:
        return self._trailers


DEADLINE = Failure(grpc.StatusCode.DEADLINE_EXCEEDED)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time now, to be changed."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def fail(silence: Silence, clock: list[float], seconds: float, error: grpc.RpcError = DEADLINE) -> bool:
    """A call that takes so long and fails."""
    began = clock[0]
    clock[0] += seconds
    return silence.failed(error, began)


def test_two_silent_deadlines_are_enough_and_an_answer_begins_anew(clock: list[float]) -> None:
    silence = Silence()
    assert not fail(silence, clock, 3)
    assert fail(silence, clock, 3)
    silence.answered()
    assert not fail(silence, clock, 3)


def test_short_deadlines_need_their_time(clock: list[float]) -> None:
    silence = Silence()
    assert [fail(silence, clock, 1) for _ in range(5)] == [False, False, False, False, True]


def test_calls_beside_each_other_count_once(clock: list[float]) -> None:
    silence, began = Silence(), clock[0]
    clock[0] += 10
    assert not any(silence.failed(DEADLINE, began) for _ in range(50))


@pytest.mark.parametrize(
    ("error", "heard"),
    [
        (Failure(grpc.StatusCode.UNAVAILABLE), False),  # gRPC connects anew by itself
        (Failure(grpc.StatusCode.CANCELLED), False),
        (Failure(grpc.StatusCode.NOT_FOUND), True),
        (Failure(grpc.StatusCode.DEADLINE_EXCEEDED, (("x", "y"),)), True),  # the server says so
    ],
)
def test_other_failures_never_replace_a_channel_and_answers_count_as_such(
    clock: list[float], error: grpc.RpcError, heard: bool
) -> None:
    silence = Silence()
    assert not fail(silence, clock, 10)
    assert not fail(silence, clock, 10, error)
    assert fail(silence, clock, 10) is not heard
