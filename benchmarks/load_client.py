"""The clients of the load benchmarks. They run in processes of their own, one event loop each, with raw messages, so that
they take as little as can be of the machine that they share with the servers.

Contract: `closed_loop`, `open_loop` and `batches` are functions that a process pool can run: plain values in and out. Times
are seconds. Every episode begins at step 0 under a new name, acts greedily, and takes its frames from one list in turn,
beginning at its own number. A call that the server refuses is counted by its status and not tried again; its episode then
takes the same step again.

Failure policy: none of its own.
"""

import asyncio
import time
import uuid
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from shelm.v1 import agent_pb2, agent_pb2_grpc

TIMEOUT = 30.0
Images = Sequence[tuple[int, int, bytes]]  # height, width, pixels


@dataclass
class Load:
    """What a client saw. latencies, seconds: of what counts. failed: by status. acts: answered, the warm-up's as well."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    failed: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    answers: list[Any] = field(default_factory=list)
    acts: int = 0


class Episodes:
    """Episodes over one channel."""

    def __init__(self, target: str, images: Images) -> None:
        self._channel = grpc.aio.insecure_channel(target, [("grpc.max_receive_message_length", -1)])
        self._stub: Any = agent_pb2_grpc.AgentServiceStub(self._channel)
        self._images = [
            agent_pb2.Image(encoding=agent_pb2.ENCODING_RAW_RGB8, height=height, width=width, data=data)
            for height, width, data in images
        ]
        self._name, self._steps = uuid.uuid4().hex, Counter[int]()
        self.failed, self.acts = Counter[str](), 0

    def _request(self, number: int) -> agent_pb2.ActRequest:
        step = self._steps[number]
        image = self._images[(number + step) % len(self._images)]
        name = f"load-{self._name}-{number}"
        return agent_pb2.ActRequest(episode_id=name, step=step, observation=image, deterministic=True)

    async def act(self, number: int) -> Any:
        """Takes the next step of an episode; returns the answer, or None if it was refused."""
        try:
            answer = await self._stub.Act(self._request(number), timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            self.failed[error.code().name] += 1
            return None
        self._steps[number] += 1
        self.acts += 1
        return answer

    async def act_batch(self, numbers: Sequence[int]) -> list[Any]:
        """Takes the next step of several episodes with one call; returns the answers, None where one was refused."""
        request = agent_pb2.ActBatchRequest(requests=[self._request(number) for number in numbers])
        reply = await self._stub.ActBatch(request, timeout=TIMEOUT)
        answers: list[Any] = []
        for number, result in zip(numbers, reply.results, strict=True):
            done = result.HasField("response")
            self._steps[number] += done
            self.acts += done
            self.failed.update([] if done else [str(result.status.code)])
            answers.append(result.response if done else None)
        return answers

    async def close(self) -> None:
        """Closes the channel."""
        await self._channel.close(None)


def closed_loop(target: str, images: Images, episodes: int, seconds: float, warm: float = 0.0) -> Load:
    """Episodes that each take their next step as soon as the last one is answered; the first `warm` seconds do not count."""
    return asyncio.run(_measured(target, images, lambda client, load: _closed(client, load, episodes, seconds, warm)))


def open_loop(target: str, images: Images, arrivals: Sequence[float]) -> Load:
    """Acts that begin at the given times, whether the earlier ones are answered or not, in as many episodes as that takes.

    A latency counts from the planned time, so that a client that is late makes the server look no better.
    """
    return asyncio.run(_measured(target, images, lambda client, load: _open(client, load, arrivals)))


def batches(target: str, images: Images, episodes: int, rounds: int, whole: bool) -> Load:
    """Episodes that advance together: one ActBatch a step if `whole`, otherwise all their Acts at once. Keeps the answers:
    (words, action) by step and episode.
    """
    return asyncio.run(_measured(target, images, lambda client, load: _batches(client, load, episodes, rounds, whole)))


def play(target: str, images: Images, steps: int) -> list[Any]:
    """Takes the first steps of one episode; returns (vocabulary rows, action) of each."""
    return [one[0] for one in batches(target, images, 1, steps, False).answers]


async def _measured(target: str, images: Images, work: Any) -> Load:
    client, load, cpu = Episodes(target, images), Load(), time.process_time()
    try:
        running: Coroutine[Any, Any, None] = work(client, load)
        await running
    finally:
        await client.close()
    load.failed, load.cpu_seconds, load.acts = dict(client.failed), time.process_time() - cpu, client.acts
    return load


async def _closed(client: Episodes, load: Load, episodes: int, seconds: float, warm: float) -> None:
    started = time.perf_counter()
    begin, end = started + warm, started + warm + seconds

    async def episode(number: int) -> None:
        while (began := time.perf_counter()) < end:
            answered = await client.act(number)
            if answered is None:
                await asyncio.sleep(0.01)  # a refused client that asks again at once would only heat the machine
            elif began >= begin:
                load.latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(episode(number) for number in range(episodes)))
    load.seconds = time.perf_counter() - begin


async def _open(client: Episodes, load: Load, arrivals: Sequence[float]) -> None:
    free: deque[int] = deque()
    tasks: set[asyncio.Task[None]] = set()
    started, most = time.perf_counter(), 0

    async def one(planned: float, number: int) -> None:
        if await client.act(number) is not None:
            load.latencies.append(time.perf_counter() - planned)
        free.append(number)

    for arrival in arrivals:
        if (wait := started + arrival - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        if free:
            number = free.popleft()
        else:
            number, most = most, most + 1
        task = asyncio.create_task(one(started + arrival, number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks)
    load.seconds = time.perf_counter() - started


async def _batches(client: Episodes, load: Load, episodes: int, rounds: int, whole: bool) -> None:
    numbers = range(episodes)
    started = time.perf_counter()
    for _ in range(rounds):
        began = time.perf_counter()
        if whole:
            answers = await client.act_batch(numbers)
        else:
            answers = list(await asyncio.gather(*map(client.act, numbers)))
        load.latencies.append(time.perf_counter() - began)
        load.answers.append([one and ([token.id for token in one.tokens], one.action.discrete) for one in answers])
    load.seconds = time.perf_counter() - started
