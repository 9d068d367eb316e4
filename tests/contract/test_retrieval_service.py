"""The internal contract of retrieval: frames in, words out; a bad frame fails alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import pytest
from shelm.v1 import agent_pb2
from support.deployment import Deployment
from support.errors import Code, refusal_of, refused
from support.frames import Frame, png, raw
from support.gateway import Gateway, play
from support.ways import APART

from services.protocol.stubs import retrieval_pb2, retrieval_pb2_grpc

pytestmark = pytest.mark.parametrize("deployment", APART, indirect=True)
MOST_PAGES = 10_000


@pytest.fixture
def retrieval(deployment: Deployment) -> Iterator[Any]:
    with grpc.insecure_channel(deployment.retrieval_target) as channel:
        yield retrieval_pb2_grpc.RetrievalServiceStub(channel)


def test_retrieval_gives_the_words_that_an_act_remembers(
    gateway: Gateway, retrieval: Any, name: str, frames: Sequence[Frame]
) -> None:
    answers = play(gateway, name, frames[:8])
    request = retrieval_pb2.RetrieveRequest(
        agent_digest=gateway.agent().digest, frames=[raw(frames[0]), png(frames[1]), *map(raw, frames[2:8])]
    )
    results = retrieval.Retrieve(request, timeout=30).results
    assert [[token.id for token in one.words.tokens] for one in results] == [
        [token.id for token in one.tokens] for one in answers
    ]
    for result in results:
        similarities = [token.similarity for token in result.words.tokens]
        assert similarities == sorted(similarities, reverse=True)
        assert all(-1 <= one <= 1 for one in similarities)


def test_a_bad_frame_fails_alone(gateway: Gateway, retrieval: Any, frames: Sequence[Frame]) -> None:
    bad = agent_pb2.Image(encoding=agent_pb2.ENCODING_PNG, data=b"nothing")
    request = retrieval_pb2.RetrieveRequest(
        agent_digest=gateway.agent().digest, frames=[raw(frames[0]), bad, raw(frames[1])]
    )
    results = retrieval.Retrieve(request, timeout=30).results
    assert [one.WhichOneof("outcome") for one in results] == ["words", "status", "words"]
    refusal = refusal_of(results[1].status)
    assert (refusal.code, list(refusal.fields)) == (Code.INVALID_ARGUMENT, ["frames[1].data"])


def test_the_vocabulary_is_read_page_by_page(gateway: Gateway, retrieval: Any) -> None:
    agent = gateway.agent()
    size = max(1, agent.vocabulary_size // 3)
    words: list[Any] = []
    token = ""
    for _ in range(MOST_PAGES):
        page = retrieval.GetVocabulary(
            retrieval_pb2.GetVocabularyRequest(agent_digest=agent.digest, page_size=size, page_token=token), timeout=30
        )
        assert page.total_size == agent.vocabulary_size
        assert len(page.words) <= size
        words += page.words
        token = page.next_page_token
        if not token:
            break
    assert [word.id for word in words] == list(range(agent.vocabulary_size))
    assert len({word.text for word in words}) == agent.vocabulary_size


@pytest.mark.parametrize(("field", "value"), [("page_size", 10_001), ("page_token", "x"), ("page_token", "1" * 5000)])
def test_a_wrong_page_of_the_vocabulary_is_named(gateway: Gateway, retrieval: Any, field: str, value: Any) -> None:
    request = retrieval_pb2.GetVocabularyRequest(agent_digest=gateway.agent().digest, **{field: value})
    refusal = refused(lambda: retrieval.GetVocabulary(request, timeout=30))
    assert (refusal.code, list(refusal.fields)) == (Code.INVALID_ARGUMENT, [field])


@pytest.mark.parametrize("digest", ["", "0" * 64, "x" * 20_000], ids=["none", "another", "long"])
def test_a_bundle_that_retrieval_has_not_loaded_is_not_found(retrieval: Any, digest: str) -> None:
    for call in (
        lambda: retrieval.Retrieve(retrieval_pb2.RetrieveRequest(agent_digest=digest), timeout=30),
        lambda: retrieval.GetVocabulary(retrieval_pb2.GetVocabularyRequest(agent_digest=digest), timeout=30),
    ):
        assert refused(call).kind == (Code.NOT_FOUND, "AGENT_NOT_FOUND")
