"""RetrievalService: converts between protobuf messages and `TokenRetriever`, with one queue per agent.

Contract: concurrent frames share a forward pass; an invalid frame fails alone. Failure policy: an unknown agent is
NOT_FOUND, an invalid frame INVALID_ARGUMENT naming its field.
"""

from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from shelm.v1 import agent_pb2

from agent.bundle import AgentBundle
from agent.engines.retrieval import load_retriever
from agent.frame import Frame, Observation
from agent.vocabulary import Vocabulary, Word, load_vocabulary
from services.agent_settings import AgentSettings
from services.protocol.image import InvalidFrame, decode_frame, read_image
from services.protocol.status import agent_not_loaded, failed_item
from services.protocol.steps import token_messages
from services.protocol.stubs import retrieval_pb2, retrieval_pb2_grpc
from services.runtime import traces
from services.runtime.batching import Queue, in_thread, make_batcher, together
from services.runtime.cache_metrics import export_cache
from services.runtime.errors import Context, deadline_of, invalid
from services.runtime.telemetry import agent_labels
from services.triton.models import model_name
from services.triton.retrieval import triton_retrieval
from services.triton.servers import TritonServers

MAX_PAGE = 10_000
RETRIEVE = "/shelm.internal.v1.RetrievalService/Retrieve"


@dataclass(frozen=True)
class RetrievalAgent:
    """The engine and settings of one agent in the retrieval service."""

    bundle: AgentBundle
    vocabulary: Vocabulary
    queue: Queue[Observation, list[Word]]


def load_agent(
    bundle: AgentBundle, settings: AgentSettings, cache_frames: int, triton: TritonServers | None
) -> RetrievalAgent:
    """Loads one agent with its queue, for a thread of this process or for the model in `triton`."""
    if triton:
        vocabulary = load_vocabulary(bundle)
        model = model_name("clip_image", bundle.digest)
        return RetrievalAgent(bundle, vocabulary, triton_retrieval(triton, model, vocabulary.words))
    retriever = load_retriever(bundle, device=settings.device, dtype=settings.dtype, cache_frames=cache_frames)
    export_cache(agent_labels(bundle.name, bundle.digest), retriever)
    executor = ThreadPoolExecutor(1, thread_name_prefix="retrieval")
    queue: Queue[Observation, list[Word]] = make_batcher(
        in_thread(retriever.retrieve_observations, executor),
        name="retrieval",
        max_size=settings.max_batch,
        max_wait=settings.max_wait,
        max_queue=settings.max_queue,
    )
    return RetrievalAgent(bundle, retriever.vocabulary, queue)


class RetrievalServicer(retrieval_pb2_grpc.RetrievalServiceServicer):
    """Serves the retrieval of the loaded agents."""

    def __init__(self, agents: Sequence[RetrievalAgent]) -> None:
        self._agents = {agent.bundle.digest: agent for agent in agents}
        self._tracer = traces.tracer()
        self._result = self._traced_result if self._tracer else self._plain_result

    def words(
        self, agent_digest: str, observations: Sequence[Observation], *, deadline: float | None
    ) -> Awaitable[Sequence[list[Word] | BaseException]]:
        """Returns the words of each frame, or its error; called by a policy in the same process."""
        return self._agent(agent_digest).queue.put(observations, deadline=deadline)

    async def Retrieve(  # noqa: N802
        self, request: retrieval_pb2.RetrieveRequest, context: Context
    ) -> retrieval_pb2.RetrieveResponse:
        """Returns the words of each frame of a batch; an invalid frame fails alone."""
        agent, deadline = self._agent(request.agent_digest), deadline_of(context)
        given = len(request.fingerprints)
        if given not in (0, len(request.frames)):
            raise invalid("fingerprints", f"expected none or one for each of {len(request.frames)} frames, got {given}")
        results = (
            self._result(agent, i, image, request.fingerprints[i] if given else b"", deadline)
            for i, image in enumerate(request.frames)
        )
        return retrieval_pb2.RetrieveResponse(results=await together(list(results)))

    async def _traced_result(self, agent: RetrievalAgent, index: int, *item: Any) -> retrieval_pb2.RetrieveResult:
        assert self._tracer
        with self._tracer.item(index, RETRIEVE):
            return await self._plain_result(agent, index, *item)

    async def _plain_result(
        self, agent: RetrievalAgent, index: int, image: agent_pb2.Image, fingerprint: bytes, deadline: float | None
    ) -> retrieval_pb2.RetrieveResult:
        size = agent.bundle.manifest.observation
        try:
            frame = _decode(image, f"frames[{index}]", size.height, size.width)
            observation = Observation(frame, fingerprint) if fingerprint else Observation.of(frame)
            words = await agent.queue.submit(observation, deadline=deadline)
        except Exception as error:
            return retrieval_pb2.RetrieveResult(status=failed_item(error, RETRIEVE))
        return retrieval_pb2.RetrieveResult(words=retrieval_pb2.RetrievedWords(tokens=token_messages(words)))

    async def GetVocabulary(  # noqa: N802
        self, request: retrieval_pb2.GetVocabularyRequest, context: Context
    ) -> retrieval_pb2.GetVocabularyResponse:
        """Returns a page of an agent's vocabulary."""
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
        return decode_frame(read_image(image), height=height, width=width)
    except InvalidFrame as error:
        raise invalid(f"{place}.{error.field}", str(error)) from None
