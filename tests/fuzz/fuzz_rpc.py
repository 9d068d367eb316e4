"""Surface: the bytes of every method of every service.

`inputs(seed, n)` damages valid messages, in their fields, in their bytes, or both, and sends some to other methods;
`check(live, data)` sends one over a real socket. What must hold: an answer, or a refusal that docs/protocol.md names.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import fuzz_live
import grpc
import numpy as np
from fuzz_live import SECONDS, SECRETS, check_items
from fuzz_messages import Choose, damage, pick, refill
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2
from shelm.v1 import agent_pb2
from support.edits import insert, remove, swap
from support.frames import collect_frames, jpeg, png, raw
from support.process import REPOSITORY

from agent.bundle import load_bundle
from services.protocol.stubs import memory_pb2, retrieval_pb2

AGENT, RETRIEVAL, MEMORY = (
    "/shelm.v1.AgentService/",
    "/shelm.internal.v1.RetrievalService/",
    "/shelm.internal.v1.MemoryService/",
)
HEALTH = "/grpc.health.v1.Health/"
WATCH = 0.3  # seconds that a stream without an end is read
OF_THE_CLIENT = "Internal error from Core"  # grpc.aio's client: the call ended while it sent a message
STREAMS = ("ActStream", "WatchMemory", "Watch")
ITEMS: dict[str, Any] = {  # answers with an outcome for each item
    "ActBatch": agent_pb2.ActBatchResponse,
    "Retrieve": retrieval_pb2.RetrieveResponse,
    "Remember": memory_pb2.RememberResponse,
}
OPEN = 0.05  # of all inputs: calls without a token that may


def valid() -> list[tuple[str, str, Message]]:
    """Service, method and message of calls that succeed, or fail for what they name alone."""
    frames, pb = collect_frames(8), agent_pb2
    name, digest = "fuzz", load_bundle(REPOSITORY / "models/minigrid-memory").digest
    acts = [
        pb.ActRequest(episode_id=f"fuzz:{step}:{kind.__name__}", step=step, observation=kind(frame))
        for step, frame in enumerate(frames[:3])
        for kind in (raw, png, jpeg)
    ]
    wanted = pb.EpisodeFilter(
        agent="minigrid-memory",
        state=pb.EPISODE_STATE_ENDED,
        created=pb.TimeRange(since=Timestamp(seconds=1), until=Timestamp(seconds=2**33)),
        reward=pb.RewardRange(least=-1.0, most=2.0),
        name_prefix="fuzz",
    )
    seen = pb.SeenWord(word="key", first_step=1, last_step=3)
    repeats = [pb.ActRequest(episode_id=name, step=step, observation=raw(frames[step])) for step in range(5)]
    calls: list[tuple[str, str, Message]] = [
        *(("policy", AGENT + "Act", one) for one in (acts[0], *acts, *repeats)),
        ("policy", AGENT + "ActBatch", pb.ActBatchRequest(requests=acts[:3] + repeats[:2])),
        ("policy", AGENT + "ActStream", pb.ActStreamRequest(request=repeats[0])),
        ("policy", AGENT + "CreateEpisode", pb.CreateEpisodeRequest(episode_id="fuzz:new", seed=3, deterministic=True)),
        (
            "policy",
            AGENT + "BranchEpisode",
            pb.BranchEpisodeRequest(
                episode_id="fuzz:branch", source_episode_id=name, step=3, edits=[swap("key", "ball"), insert("key", 1)]
            ),
        ),
        ("policy", AGENT + "EndEpisode", pb.EndEpisodeRequest(episode_id="fuzz:ended", total_reward=0.5)),
        ("policy", AGENT + "DeleteEpisode", pb.DeleteEpisodeRequest(episode_id="fuzz:new")),
        ("policy", AGENT + "GetEpisode", pb.GetEpisodeRequest(episode_id=name)),
        ("policy", AGENT + "ListEpisodes", pb.ListEpisodesRequest(page_size=5, page_token="0")),
        ("policy", AGENT + "ListEpisodes", pb.ListEpisodesRequest(page_size=5, archived=True)),
        ("policy", AGENT + "ListEpisodes", pb.ListEpisodesRequest(order=pb.EPISODE_ORDER_NEWEST, filter=wanted)),
        ("policy", AGENT + "ListEpisodes", pb.ListEpisodesRequest(archived=True, filter=wanted, page_token="17:fuzz")),
        ("policy", AGENT + "SearchEpisodes", pb.SearchEpisodesRequest(filter=wanted, saw=[seen], page_token="-/17:fuzz")),
        ("policy", AGENT + "CompareOutcomes", pb.CompareOutcomesRequest(filter=wanted, not_saw=[seen], limit=3)),
        ("policy", AGENT + "GetMemory", pb.GetMemoryRequest(episode_id=name, from_step=1, limit=3)),
        ("policy", AGENT + "WatchMemory", pb.WatchMemoryRequest(episode_id=name, from_step=1, signs_of_life=True)),
        (
            "policy",
            AGENT + "ExplainStep",
            pb.ExplainStepRequest(episode_id=name, step=2, observation=raw(frames[2]), max_steps=2),
        ),
        (
            "policy",
            AGENT + "WhatIf",
            pb.WhatIfRequest(
                episode_id=name,
                step=2,
                observation=raw(frames[2]),
                alternatives=[pb.Alternative(edits=[swap("key", "ball"), insert("key", 1), remove(step=0)])],
            ),
        ),
        ("policy", AGENT + "GetFrame", pb.GetFrameRequest(episode_id=name, step=2)),
        ("policy", AGENT + "ListAgents", pb.ListAgentsRequest()),
        ("policy", AGENT + "GetAgent", pb.GetAgentRequest(agent="minigrid-memory")),
    ]
    calls += [
        ("retrieval", RETRIEVAL + "Retrieve", retrieval_pb2.RetrieveRequest(agent_digest=digest, frames=[raw(frames[0])])),
        ("retrieval", RETRIEVAL + "GetVocabulary", retrieval_pb2.GetVocabularyRequest(agent_digest=digest, page_size=9)),
        (
            "memory",
            MEMORY + "Remember",
            memory_pb2.RememberRequest(
                items=[memory_pb2.RememberItem(episode_id=name, agent_digest=digest, word_ids=[1], history_digest=bytes(16))]
            ),
        ),
        (
            "memory",
            MEMORY + "EncodeHistories",
            memory_pb2.EncodeHistoriesRequest(agent_digest=digest, histories=[memory_pb2.History(word_ids=[1, 2, 3])]),
        ),
        ("memory", MEMORY + "Forget", memory_pb2.ForgetRequest(episode_ids=[name])),
        ("memory", MEMORY + "GetMemoryStats", memory_pb2.GetMemoryStatsRequest()),
    ]
    for service in ("policy", "retrieval", "memory"):
        calls += [(service, HEALTH + method, health_pb2.HealthCheckRequest()) for method in ("Check", "Watch")]
    return calls


def inputs(seed: int, n: int) -> Iterator[bytes]:
    """Yields n calls: a line of JSON with service, method, token and the lengths of the messages, then these."""
    choose, calls = np.random.default_rng(seed), valid()
    methods = sorted({(service, method) for service, method, _ in calls})
    for _ in range(n):
        service, method = pick(choose, methods)
        message: Message = pick(choose, [one for _, kind, one in calls if kind == method])
        if choose.integers(20) == 0:  # of another method
            message = pick(choose, calls)[2]
        count = int(choose.integers(0, 4)) if method.endswith("ActStream") else 1
        messages = [_damaged(choose, message) for _ in range(count)]
        token = pick(choose, list(SECRETS)) if choose.random() < OPEN else "inner" if service != "policy" else "act"
        head = {"service": service, "method": method, "token": token, "lengths": [len(one) for one in messages]}
        yield json.dumps(head).encode() + b"\n" + b"".join(messages)


def _damaged(choose: Choose, message: Message) -> bytes:
    kind = choose.integers(10)
    if kind == 0:
        return bytes(choose.bytes(int(choose.integers(0, 400))))
    copy = type(message)()
    copy.CopyFrom(message)
    if kind < 8:
        refill(choose, copy, float(pick(choose, (0.1, 0.3, 0.9))))
    data = copy.SerializeToString()
    return damage(choose, data) if kind >= 7 else data


def parse(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The parts of an input."""
    line, _, rest = data.partition(b"\n")
    head, messages = json.loads(line), list[bytes]()
    for length in head["lengths"]:
        messages.append(rest[:length])
        rest = rest[length:]
    return head, messages


class Session(fuzz_live.ToServices):
    """`check` may be called for several inputs at once."""

    async def check(self, data: bytes) -> bool:
        """Sends one input; returns whether it was answered. Raises whatever must not happen."""
        head, messages = parse(data)
        if head["service"] not in self._channels:  # in one process with policy
            return False
        metadata = (("authorization", f"Bearer {SECRETS[head['token']]}"),)
        name = head["method"].rpartition("/")[2]
        try:
            await self._call(head, name, messages, metadata)
        except grpc.aio.AioRpcError as error:
            over: tuple[grpc.StatusCode, ...] = (grpc.StatusCode.DEADLINE_EXCEEDED,) if name in STREAMS else ()
            if name in STREAMS and error.details() == OF_THE_CLIENT:
                over += (grpc.StatusCode.INTERNAL,)
            health = (grpc.StatusCode.NOT_FOUND,) if HEALTH in head["method"] else ()
            self._live.told[fuzz_live.judged(error, expected=over + health)] += 1
            return False
        self._live.told["OK"] += 1
        return True

    async def _call(self, head: dict[str, Any], name: str, messages: list[bytes], metadata: Any) -> None:
        channel, method = self._channels[head["service"]], head["method"]
        if name in STREAMS:
            async for one in channel.stream_stream(method, None, None)(_each(messages), metadata=metadata, timeout=WATCH):
                if name == "ActStream":
                    check_items([agent_pb2.ActStreamResponse.FromString(one).result])
            return
        reply = await channel.unary_unary(method, None, None)(messages[0], metadata=metadata, timeout=SECONDS)
        if name in ITEMS:
            check_items(ITEMS[name].FromString(reply).results)


async def _each(messages: list[bytes]) -> AsyncIterator[bytes]:
    for one in messages:
        yield one
        await asyncio.sleep(0)
