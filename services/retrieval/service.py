"""RetrievalService: proto <-> `TokenRetriever`, one queue per agent.

Contract: concurrent frames share a forward; a bad frame fails alone. Failure policy: an unknown agent is NOT_FOUND, a bad
frame INVALID_ARGUMENT naming its field.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shelm.v1 import agent_pb2, retrieval_pb2, retrieval_pb2_grpc

from services.domain.bundle import AgentBundle
from services.domain.frame import Frame, InvalidFrame, decode_frame
from services.domain.labels import agent_labels
from services.domain.settings import AgentSettings
from services.domain.status import agent_not_loaded, item_status
from services.domain.triton import model_name
from services.domain.vocabulary import Vocabulary
from services.retrieval.clip_model import load_clip
from services.retrieval.model import TokenRetriever
from services.retrieval.retrieved import Retrieved
from services.retrieval.telemetry import export_cache
from services.retrieval.triton import triton_retrieval
from services.runtime import traces
from services.runtime.batching import Batcher, in_thread
from services.runtime.errors import Context, ServiceError, deadline_of, invalid
from services.runtime.telemetry import refused
from services.runtime.triton import Queue, Triton

MAX_PAGE = 10_000
RETRIEVE = "/shelm.v1.RetrievalService/Retrieve"


@dataclass(frozen=True)
class RetrievalAgent:
    """What retrieval needs of one agent."""

    bundle: AgentBundle
    vocabulary: Vocabulary
    frames: Queue[Frame, list[Retrieved]]


def load_retriever(bundle: AgentBundle, *, device: str, cache_frames: int) -> tuple[TokenRetriever, Vocabulary]:
    """The engine that a bundle describes."""
    part = bundle.manifest.retrieval
    vocabulary = Vocabulary.load(bundle.path(part.vocabulary))
    clip = load_clip(bundle.source(part.clip), device=device)
    retriever = TokenRetriever(
        model=clip.model,
        vocabulary=vocabulary,
        k=part.k,
        device=device,
        preprocessing=part.preprocessing,
        cache_frames=cache_frames,
    )
    return retriever, vocabulary


def load_agent(bundle: AgentBundle, settings: AgentSettings, cache_frames: int, triton: Triton | None) -> RetrievalAgent:
    """One agent with its queue: before a thread of this process, or before the model in `triton`."""
    if triton:
        vocabulary = Vocabulary.load(bundle.path(bundle.manifest.retrieval.vocabulary))
        model = model_name("clip_image", bundle.digest)
        return RetrievalAgent(bundle, vocabulary, triton_retrieval(triton, model, vocabulary.words))
    retriever, vocabulary = load_retriever(bundle, device=settings.device, cache_frames=cache_frames)
    export_cache(agent_labels(bundle.name, bundle.digest), retriever)
    executor = ThreadPoolExecutor(1, thread_name_prefix="retrieval")
    batcher: Batcher[Frame, list[Retrieved]] = Batcher(
        in_thread(retriever.retrieve, executor),
        name="retrieval",
        max_size=settings.max_batch,
        max_wait=settings.max_wait,
        max_queue=settings.max_queue,
    )
    return RetrievalAgent(bundle, vocabulary, batcher)


class RetrievalServicer(retrieval_pb2_grpc.RetrievalServiceServicer):
    """Serves some agents."""

    def __init__(self, agents: Sequence[RetrievalAgent]) -> None:
        self._agents = {agent.bundle.digest: agent for agent in agents}

    async def words(self, agent_digest: str, frame: Frame, *, deadline: float | None) -> list[agent_pb2.Token]:
        """The words of one frame; also the way in for a policy in the same process."""
        found = await self._agent(agent_digest).frames.submit(frame, deadline=deadline)
        return [agent_pb2.Token(text=word.text, similarity=word.similarity, id=word.row) for word in found]

    async def Retrieve(  # noqa: N802
        self, request: retrieval_pb2.RetrieveRequest, context: Context
    ) -> retrieval_pb2.RetrieveResponse:
        """See retrieval.proto."""
        agent = self._agent(request.agent_digest)
        deadline = deadline_of(context)
        frames = enumerate(request.frames)
        results = await asyncio.gather(*(self._result(agent, i, image, deadline) for i, image in frames))
        return retrieval_pb2.RetrieveResponse(results=results)

    async def _result(
        self, agent: RetrievalAgent, index: int, image: agent_pb2.Image, deadline: float | None
    ) -> retrieval_pb2.RetrieveResult:
        size = agent.bundle.manifest.observation
        try:
            with traces.item(index, RETRIEVE):
                frame = _decode(image, f"frames[{index}]", size.height, size.width)
                tokens = await self.words(agent.bundle.digest, frame, deadline=deadline)
        except ServiceError as error:
            refused(RETRIEVE, error)
            return retrieval_pb2.RetrieveResult(status=item_status(error))
        return retrieval_pb2.RetrieveResult(words=retrieval_pb2.RetrievedWords(tokens=tokens))

    async def GetVocabulary(  # noqa: N802
        self, request: retrieval_pb2.GetVocabularyRequest, context: Context
    ) -> retrieval_pb2.GetVocabularyResponse:
        """See retrieval.proto."""
        vocabulary = self._agent(request.agent_digest).vocabulary
        if request.page_size > MAX_PAGE:
            raise invalid("page_size", f"expected 0..{MAX_PAGE}, got {request.page_size}")
        if request.page_token and not (request.page_token.isdecimal() and len(request.page_token) <= 20):
            raise invalid("page_token", f"expected next_page_token of an earlier page, got {request.page_token[:40]!r}")
        first = int(request.page_token or 0)
        last = min(first + (request.page_size or 1000), len(vocabulary))
        words = [
            retrieval_pb2.VocabularyWord(id=i, text=vocabulary.words[i], language_model_id=int(vocabulary.token_ids[i]))
            for i in range(first, last)
        ]
        token = str(last) if last < len(vocabulary) else ""
        return retrieval_pb2.GetVocabularyResponse(words=words, next_page_token=token, total_size=len(vocabulary))

    def _agent(self, digest: str) -> RetrievalAgent:
        if digest not in self._agents:
            raise agent_not_loaded(digest)
        return self._agents[digest]


def _decode(image: agent_pb2.Image, place: str, height: int, width: int) -> Frame:
    try:
        return decode_frame(image, height=height, width=width)
    except InvalidFrame as error:
        raise invalid(f"{place}.{error.field}", str(error)) from None
