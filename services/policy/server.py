"""Builds the server of the public API; its backends may run in other processes or in this one."""

import asyncio
from collections.abc import Callable, Sequence

from shelm.v1 import agent_pb2_grpc

from agent.bundle import AgentBundle, Bundle
from services.policy.actor import Actor
from services.policy.admission import Admission
from services.policy.agents import Agents, load_served
from services.policy.archive.archive import Archive
from services.policy.archive.archiver import Archiver
from services.policy.archive.index import ArchiveIndex
from services.policy.archive.reader import Episodes
from services.policy.branching import Brancher
from services.policy.computation import Backends, make_computation
from services.policy.explain.explain import Explainer
from services.policy.explain.recall import Recall
from services.policy.explain.what_if import WhatIf
from services.policy.recording.frames import Frames
from services.policy.recording.recorder import Recorder
from services.policy.recording.recordings import Recordings
from services.policy.searching import Searcher
from services.policy.service import SCOPES, AgentServicer, most_under_way
from services.policy.settings import PolicyServerSettings
from services.protocol.picture_file import largest_file
from services.protocol.reasons import DOMAIN
from services.runtime.checks import tokens_in
from services.runtime.server import GrpcServer
from services.runtime.slices import Slices
from services.runtime.traces import stage_timer
from services.store.census import Census
from services.store.episodes import EpisodeStore
from services.store.indexer import Indexer
from services.store.periodic import Periodic
from services.store.pressure import Pressure
from services.store.redis import connect_redis
from services.triton.servers import connect_triton

ITEM = 1024  # bytes of an item of a batch beside its frame


class PolicyServer(GrpcServer):
    """A GrpcServer that also starts what works beside the calls, and closes it after the last one."""

    beside: Sequence[Recorder | Archiver | Periodic] = ()

    async def start(self) -> int:
        """Listens; returns the port."""
        for one in self.beside:
            one.start()
        return await super().start()

    async def stop(self) -> None:
        """Accepts no new calls, waits for running ones, stops, then lets the others finish."""
        await super().stop()
        await asyncio.gather(*(one.close() for one in self.beside))


def largest_request(bundles: Sequence[Bundle], items: int) -> int:
    """Bytes of the largest ActBatch that can make sense: files as large as those of single frames, with few headers."""
    sizes, headers = [bundle.manifest.observation for bundle in bundles], largest_file(0, 0)
    frame = max(largest_file(size.height, size.width) for size in sizes) - headers
    return headers + items * (frame + ITEM)


def open_server(settings: PolicyServerSettings, connect: Callable[[], Backends]) -> GrpcServer:
    """Builds the server of AgentService from its settings. connect: called where services are needed."""
    triton, bundles = connect_triton(settings), settings.load_bundles()
    kept = settings.policy_cache_frames
    agents = Agents([load_served(bundle, settings, triton, cache_frames=kept) for bundle in bundles])
    # One connection per watcher and per Act, so that watchers never keep an Act waiting.
    connections = settings.max_watchers + settings.max_in_flight
    client = connect_redis(settings.redis_access, timeout=settings.redis_timeout, max_connections=connections)
    archive = Archive(settings.archive) if settings.archive else None
    slices = Slices()
    store = EpisodeStore(
        client,
        slices=slices,
        ttl=settings.episode_ttl,
        ended_ttl=min(settings.ended_ttl, settings.episode_ttl),
        archive=archive is not None,
        retained=settings.retained_steps,
        replicas=settings.redis_replicas,
        replica_wait=settings.redis_timeout / 2,  # the connection itself must not give up first
    )
    tokens = tokens_in(settings.tokens_file)
    pressure = Pressure(client, mark=settings.admission_mark)
    census = Census(store, needed=lambda: any(one.episodes for one in tokens.quotas().values()))
    admission = Admission(pressure, census, tokens)
    with_words = [bundle for bundle in bundles if isinstance(bundle, AgentBundle)]
    computation = make_computation(settings, with_words, triton, client, connect)
    recorder = None
    if settings.record:
        kept_for, most = settings.record_retention, settings.record_bytes
        recorder = Recorder(Recordings(settings.record), retention=kept_for, most_bytes=most)
    actor = Actor(
        agents=agents,
        store=store,
        pipeline=computation.steps,
        max_in_flight=settings.max_in_flight,
        max_waiting=settings.max_episode_queue,
        recorder=recorder,
        admission=admission,
        timer=stage_timer(),
    )
    index = ArchiveIndex(archive, settings.index_folder, shared=settings.shared_index)
    episodes, archiver = Episodes(store, archive, index), Archiver(store, archive, index) if archive else None
    frames = Frames(episodes, recorder)
    recall = Recall(agents=agents, episodes=episodes, frames=frames, memory=computation.slots)
    servicer = AgentServicer(
        agents=agents,
        store=store,
        episodes=episodes,
        searcher=Searcher(store, episodes, index),
        archiver=archiver,
        admission=admission,
        brancher=Brancher(
            agents=agents, store=store, episodes=episodes, admission=admission, retained=settings.retained_steps
        ),
        actor=actor,
        memory=computation.slots,
        explainer=Explainer(recall),
        what_if=WhatIf(recall, agents),
        frames=frames,
        max_batch_items=settings.max_batch_items,
        max_watchers=settings.max_watchers,
        max_tenant_watchers=settings.max_tenant_watchers,
        slices=slices,
    )

    async def ready() -> list[str]:
        # At the same time: a Redis that does not answer must not keep the health of replicas from being seen.
        asked = [store.missing(), computation.missing()] if with_words else [store.missing()]
        answers = await asyncio.gather(*asked)
        return [problem for answer in answers for problem in answer]

    server = PolicyServer(
        settings,
        listen=settings.listen,
        domain=DOMAIN,
        services={"shelm.v1.AgentService": lambda s: agent_pb2_grpc.add_AgentServiceServicer_to_server(servicer, s)},
        ready=ready,
        scopes=SCOPES,
        most=most_under_way(settings),
        tokens=tokens,
        largest=largest_request(bundles, settings.max_batch_items),
    )
    server.beside = [one for one in (recorder, archiver, pressure, census, Indexer(store), index) if one]
    return server
