"""Serves an agent to clients of openpi's websocket policy server: python -m shelm.openpi --target ... --listen ...

Protocol: the server sends its metadata when a client connects; then every message is an observation and is answered with
actions. Messages are MessagePack; arrays are maps of `__ndarray__`, `data`, `dtype`, `shape`, of numbers only. An
observation contains the frame, uint8 (height, width, 3), under "observation/image" or "image". The answer contains
"actions", a chunk of one step: int64 (1,), float32 (1, dimensions), or a dict of these; and "words", "similarities",
"value", "episode_id", "step".

Episodes: openpi's protocol has none. By default a connection is one episode, which ends with the connection, and an
observation with "reset": True starts a new one. An observation with "episode_id" belongs to that episode, which can continue
after the connection closes; with the simulator's own "step", sending an observation again is a retry.

Failure policy: an error is sent as a text message, and the connection stays open, so the same observation may be sent again.
An `Authorization: Api-Key KEY` of the client is its bearer token. With a token of its own (SHELM_TOKEN) the adapter listens
on loopback only, because everyone who connects may use it. Needs the extra: pip install "shelm-client[openpi]".
"""

from __future__ import annotations

import argparse
import asyncio
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np

from shelm.aio import AsyncClient
from shelm.errors import EpisodeNotFound, InvalidArgument, ShelmError
from shelm.results import Act
from shelm.settings import DEFAULT_TARGET, LOOPBACK

try:
    msgpack: Any = import_module("msgpack")
    websockets: Any = import_module("websockets.asyncio.server")
except ImportError:  # this module is a program and is not imported by others
    raise SystemExit('shelm.openpi: msgpack or websockets is missing; pip install "shelm-client[openpi]"') from None

FRAME_KEYS = ("observation/image", "image")
NUMBERS = "biuf"  # dtype kinds: bool, signed, unsigned, float
LARGEST = 16 * 2**20  # bytes of a message


class Connection:
    """The episodes of one connected client."""

    def __init__(self, client: AsyncClient) -> None:
        """Acts through `client`."""
        self._client, self._known = client, set[str]()
        self._own = ""  # id of the connection's own episode

    async def infer(self, observation: Mapping[str, Any]) -> Act:
        """Acts on one observation; raises ShelmError, or TypeError for a value of another type."""
        frame = next((observation[key] for key in FRAME_KEYS if key in observation), None)
        return await self._client.act(frame, await self._episode(observation), step=observation.get("step"))

    async def end(self) -> None:
        """Ends the connection's own episode; if that fails, it expires."""
        with suppress(ShelmError):
            if self._own:
                await self._client.end_episode(self._own, retry=False)
        self._own = ""

    async def _episode(self, observation: Mapping[str, Any]) -> str:
        named = observation.get("episode_id")
        if named is None:
            if observation.get("reset"):
                await self.end()
            self._own = self._own or f"openpi-{uuid.uuid4().hex}"
            return self._own
        if named not in self._known:
            with suppress(EpisodeNotFound):  # the episode is new
                await self._client.resume(named)
            self._known.add(named)
        return str(named)


def unpack(data: str | bytes) -> Mapping[str, Any]:
    """Returns the observation in a message; raises InvalidArgument for anything else."""
    try:
        observation = msgpack.unpackb(data, object_hook=_unpack_array)
    except Exception as error:  # msgpack and numpy raise many kinds
        raise InvalidArgument(f"expected a MessagePack map with arrays of numbers: {error}") from None
    if isinstance(observation, dict):
        return observation
    raise InvalidArgument(f"expected a map, given a {type(observation).__name__}")


def _unpack_array(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" not in value:
        return value[b"data"] if b"__npgeneric__" in value else value
    dtype = np.dtype(value[b"dtype"])
    if dtype.kind not in NUMBERS:
        raise ValueError(f"dtype {dtype} is no number")
    return np.frombuffer(value[b"data"], dtype).reshape(value[b"shape"])


def _pack_array(value: np.ndarray[Any, Any]) -> dict[bytes, Any]:
    return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}


def _answer(act: Act) -> dict[str, Any]:
    parts = {name: np.asarray(part)[None] for name, part in act.action.items()} if isinstance(act.action, dict) else None
    return {
        "actions": np.asarray(act.action)[None] if parts is None else parts,
        "words": [token.text for token in act.tokens],
        "similarities": [token.similarity for token in act.tokens],
        "value": act.value,
        "episode_id": act.episode_id,
        "step": act.step,
    }


async def _reply(connection: Connection, message: str | bytes) -> str | bytes:
    try:
        return bytes(msgpack.packb(_answer(await connection.infer(unpack(message))), default=_pack_array))
    except (ShelmError, TypeError) as error:
        return str(error)


async def _serve(arguments: argparse.Namespace) -> None:
    async def handle(websocket: Any) -> None:
        kind, _, key = websocket.request.headers.get("Authorization", "").partition(" ")
        token = key if kind == "Api-Key" else os.environ.get("SHELM_TOKEN")
        async with AsyncClient(arguments.target, token=token, tls=arguments.tls) as client:
            agent, connection = await client.agent(), Connection(client)
            await websocket.send(msgpack.packb({"agent": agent.name, "agent_digest": agent.digest}))
            try:
                async for message in websocket:
                    await websocket.send(await _reply(connection, message))
            finally:
                await connection.end()

    host, _, port = arguments.listen.rpartition(":")
    async with websockets.serve(handle, host, int(port), compression=None, max_size=LARGEST) as server:
        print(f"listening on {host}:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="shelm.openpi", description="An agent for clients of openpi's policy server.")
    parser.add_argument(
        "--target",
        default=os.environ.get("SHELM_TARGET") or DEFAULT_TARGET,
        help="host:port of the SHELM server (%(default)s)",
    )
    parser.add_argument("--tls", action="store_true", help="encrypt the connection to the SHELM server")
    parser.add_argument("--listen", default="127.0.0.1:8000", help="host:port for openpi's clients (%(default)s)")
    arguments = parser.parse_args()
    if os.environ.get("SHELM_TOKEN") and not LOOPBACK.match(arguments.listen):
        parser.error("--listen: beyond this machine only without SHELM_TOKEN; clients send their own Api-Key")
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments))
