"""Acts with the shipped client's own patience, every attempt of which is counted: for client processes.

Contract: a request is sent again as `shelm.Client` does it: after the server's push-back, or its own delay, for
`RETRY_FOR` seconds. What is sent is a plain message, so that the client takes little of the machine. Times are seconds.

Failure policy: an Act that is given up is counted in `failed` with its code and reason, and its answer is None.
"""

import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import grpc
from shelm.aio.transport import AsyncTransport
from shelm.errors import ShelmError
from shelm.settings import Settings
from shelm.v1 import agent_pb2

from benchmarks.load_client import Images

TIMEOUT, RETRY_FOR = 10.0, 30.0  # the client's defaults
Said = tuple[list[int], int]  # vocabulary rows and action of a step


@dataclass
class Tally:
    """What a client saw. accepted: from the start of the attempt that was answered; whole: from that of the first one."""

    accepted: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    in_policy: list[float] = field(default_factory=list)  # of `accepted`, from where policy has begun with the Act
    answered_at: list[float] = field(default_factory=list)
    refused: int = 0  # Acts that were refused at least once
    recovered: int = 0  # of these, answered in the end
    waits: list[float] = field(default_factory=list)  # of these, `whole`
    refusals: int = 0  # attempts
    advised: int = 0  # of these, with a time to wait
    others: Counter[str] = field(default_factory=Counter)  # attempts that failed otherwise, and were repeated
    failed: Counter[str] = field(default_factory=Counter)  # Acts that were given up


class Caller:
    """One connection and its tally. warm: times before it (`time.perf_counter`) do not count, failures always do."""

    def __init__(self, target: str, images: Images, *, warm: float = 0.0) -> None:
        self._transport = AsyncTransport(Settings(target, None, tls=False, timeout=TIMEOUT, retry_for=RETRY_FOR))
        self.images = [
            agent_pb2.Image(encoding=agent_pb2.ENCODING_RAW_RGB8, height=height, width=width, data=data)
            for height, width, data in images
        ]
        self.tally, self.warm, self.run = Tally(), warm, uuid.uuid4().hex[:12]

    async def act(self, name: str, step: int, image: int) -> Any:
        """Takes a step, greedily; returns the answer or None. image: number of the frame, modulo their count."""
        frame = self.images[image % len(self.images)]
        request = agent_pb2.ActRequest(episode_id=name, step=step, observation=frame, deterministic=True)
        attempts, began, refused = self._transport.attempts(), time.perf_counter(), 0
        while True:
            tried = time.perf_counter()
            try:
                answer = await self._transport.once("Act", request, timeout=attempts.timeout)
            except ShelmError as error:
                refused += self._refused(error, first=not refused)
                if not await attempts.wait(error):
                    self.tally.failed[said(error)] += 1
                    return None
            else:
                self._answered(began, tried, refused)
                self.tally.in_policy.append(answer.timing.total_us / 1e6)
                return answer

    async def end(self, name: str) -> None:
        """Ends an episode."""
        try:
            await self._transport.call("EndEpisode", agent_pb2.EndEpisodeRequest(episode_id=name))
        except ShelmError as error:
            self.tally.failed[f"EndEpisode {said(error)}"] += 1

    async def close(self) -> None:
        """Closes the connection."""
        await self._transport.close()

    def _refused(self, error: ShelmError, *, first: bool) -> int:
        if error.code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            self.tally.others[said(error)] += 1
            return 0
        self.tally.refused += first
        self.tally.refusals += 1
        self.tally.advised += error.retry_after is not None
        return 1

    def _answered(self, began: float, tried: float, refused: int) -> None:
        now, tally = time.perf_counter(), self.tally
        tally.recovered += bool(refused)
        if began < self.warm:
            return
        tally.accepted.append(now - tried)
        tally.whole.append(now - began)
        tally.answered_at.append(now)
        if refused:
            tally.waits.append(now - began)


def said(error: ShelmError) -> str:
    """Code and reason."""
    return f"{error.code.name} {error.reason}".strip()


def outcome(answer: Any) -> Said:
    """The part of an answer that must be the same in whatever company it was computed."""
    return [token.id for token in answer.tokens], answer.action.discrete
