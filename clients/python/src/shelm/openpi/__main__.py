"""The program: `python -m shelm.openpi`. What it promises stands in `shelm.openpi`."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from importlib import import_module
from itertools import count
from typing import Any

from shelm.aio import AsyncClient
from shelm.cli.tls import add_tls, tls_of
from shelm.cli.values import natural
from shelm.errors import InvalidArgument, ShelmError
from shelm.settings import DEFAULT_TARGET, LOOPBACK

try:
    from shelm.openpi.episodes import Episodes
    from shelm.openpi.wire import answer_of, pack, unpack

    websockets: Any = import_module("websockets.asyncio.server")
    exceptions: Any = import_module("websockets.exceptions")
except ImportError:  # this module is a program and is not imported by others
    raise SystemExit('shelm.openpi: msgpack or websockets is missing; pip install "shelm-client[openpi]"') from None

LARGEST = 16 * 2**20  # bytes of a message
REASON = 120  # characters of the reason in a websocket's close frame, which takes 123 bytes
INTERNAL_ERROR = 1011  # RFC 6455: the server cannot go on


class Adapter:
    """What all connections share: the settings, and the seeds of new episodes."""

    def __init__(self, arguments: argparse.Namespace, health: AsyncClient) -> None:
        """Takes the program's arguments, and a client that asks whether the SHELM server serves."""
        self._arguments, self._health = arguments, health
        self._seeds: Iterator[int] | None = None if arguments.seed is None else count(arguments.seed)

    async def connected(self, websocket: Any) -> None:
        """Serves one client until it leaves."""
        kind, _, key = websocket.request.headers.get("Authorization", "").partition(" ")
        async with _client(self._arguments, key if kind == "Api-Key" else os.environ.get("SHELM_TOKEN")) as client:
            try:
                agent = await client.agent(self._arguments.agent)
            except ShelmError as error:
                await websocket.close(INTERNAL_ERROR, str(error).encode("ascii", "replace").decode()[:REASON])
                return
            await websocket.send(pack({"agent": agent.name, "agent_digest": agent.digest}))
            await self._serve(websocket, client)

    async def healthz(self, connection: Any, request: Any) -> Any:
        """Answers GET /healthz in place of opening a websocket; None for every other path."""
        if request.path != "/healthz":
            return None
        try:
            await self._health.ping()
        except ShelmError as error:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n")
        return connection.respond(HTTPStatus.OK, "OK\n")

    async def _serve(self, websocket: Any, client: AsyncClient) -> None:
        deterministic, one = self._arguments.deterministic or None, self._arguments.connection_is_episode
        episodes = Episodes(client, seeds=self._seeds, deterministic=deterministic, one=one)
        try:
            with suppress(exceptions.ConnectionClosed):  # openpi's programs leave without a word
                async for message in websocket:
                    await websocket.send(await _reply(episodes, message))
        finally:
            await episodes.end()


async def _reply(episodes: Episodes, message: str | bytes) -> str | bytes:
    try:
        return pack(answer_of(await episodes.infer(unpack(message))))
    except (ShelmError, TypeError) as error:
        return str(error)


def _client(arguments: argparse.Namespace, token: str | None) -> AsyncClient:
    return AsyncClient(arguments.target, token=token, tls=tls_of(arguments), agent=arguments.agent)


async def _serve(arguments: argparse.Namespace) -> None:
    host, _, port = arguments.listen.rpartition(":")
    async with _client(arguments, None) as health:
        adapter = Adapter(arguments, health)
        options = {"process_request": adapter.healthz, "compression": None, "max_size": LARGEST}
        async with websockets.serve(adapter.connected, host.strip("[]"), int(port), **options) as server:
            print(f"listening on {host}:{server.sockets[0].getsockname()[1]}", flush=True)
            await server.serve_forever()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shelm.openpi", description="An agent for clients of openpi's policy server.")
    parser.add_argument(
        "--target",
        default=os.environ.get("SHELM_TARGET") or DEFAULT_TARGET,
        help="host:port of the SHELM server (%(default)s)",
    )
    add_tls(parser)
    parser.add_argument("--listen", default="127.0.0.1:8000", help="host:port for openpi's clients (%(default)s)")
    parser.add_argument("--agent", default="", help="agent name or digest (the server's default agent)")
    parser.add_argument("--deterministic", action="store_true", help="choose the most probable action instead of sampling")
    parser.add_argument(
        "--seed", type=natural, help="seed of the first episode, then +1 for each (seeds from the episodes' ids)"
    )
    parser.add_argument(
        "--connection-is-episode", action="store_true", help="each connection is one episode, without a reset in it"
    )
    return parser


if __name__ == "__main__":
    parser = _parser()
    arguments = parser.parse_args()
    if os.environ.get("SHELM_TOKEN") and not LOOPBACK.match(arguments.listen):
        parser.error("--listen: beyond this machine only without SHELM_TOKEN; clients send their own Api-Key")
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(arguments))
    except (InvalidArgument, OSError) as error:  # a wrong target, or an address in use
        raise SystemExit(f"shelm.openpi: {error}") from None
