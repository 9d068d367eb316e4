"""The client of the other servers, as load_client for ours: JSON over HTTP with kept connections, in its own process."""

import asyncio
import json
import time
import uuid
from collections import Counter
from typing import Any

import aiohttp

from benchmarks.load_client import TIMEOUT, Images, Load
from benchmarks.peers.messages import request


def closed_loop(url: str, images: Images, episodes: int, seconds: float, warm: float = 0.0) -> Load:
    """Sessions that each take their next step as soon as the last one is answered; see load_client.closed_loop."""
    return asyncio.run(_closed(url, images, episodes, seconds, warm))


def play(url: str, images: Images, steps: int) -> list[Any]:
    """Takes the first steps of one session; returns (vocabulary rows, action) of each."""
    return asyncio.run(_play(url, images, steps))


async def _closed(url: str, images: Images, episodes: int, seconds: float, warm: float) -> Load:
    load, failed, cpu, name = Load(), Counter[str](), time.process_time(), uuid.uuid4().hex
    bodies = [json.dumps(request("SESSION", *image)) for image in images]  # a client of ours sends ready pixels as well
    started = time.perf_counter()
    begin, end = started + warm, started + warm + seconds

    async def session(http: aiohttp.ClientSession, number: int) -> None:
        step = 0
        while (began := time.perf_counter()) < end:
            body = bodies[(number + step) % len(bodies)].replace("SESSION", f"{name}-{number}", 1)
            status, _ = await _post(http, url, body)
            if status != 200:
                failed[str(status)] += 1
                await asyncio.sleep(0.01)
                continue
            step += 1
            load.acts += 1
            if began >= begin:
                load.latencies.append(time.perf_counter() - began)

    async with _http() as http:
        await asyncio.gather(*(session(http, number) for number in range(episodes)))
    load.seconds, load.failed = time.perf_counter() - begin, dict(failed)
    load.cpu_seconds = time.process_time() - cpu
    return load


async def _play(url: str, images: Images, steps: int) -> list[Any]:
    name, found = uuid.uuid4().hex, []
    async with _http() as http:
        for step in range(steps):
            status, body = await _post(http, url, json.dumps(request(name, *images[step % len(images)])))
            if status != 200:
                raise RuntimeError(f"{url} answers {status}: {body!r}")
            reply = json.loads(body)
            found.append(([word["id"] for word in reply["words"]], reply["action"]))
    return found


def _http() -> aiohttp.ClientSession:
    limits = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    return aiohttp.ClientSession(connector=limits, headers=headers, timeout=aiohttp.ClientTimeout(TIMEOUT))


async def _post(http: aiohttp.ClientSession, url: str, body: str) -> tuple[int, bytes]:
    async with http.post(url, data=body) as reply:
        return reply.status, await reply.read()
