"""The agent without a server gives what its engines give, alone and in batches: it is what served Acts are compared with."""

from pathlib import Path

import pytest
import torch

from agent.bundle import AgentBundle
from agent.engines.memory import load_slots
from agent.engines.policy import load_policy
from agent.engines.retrieval import load_retriever
from agent.frame import Frame
from benchmarks.bundles import noise, tiny_bundle
from benchmarks.local_agent import Answer, LocalAgent


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> AgentBundle:
    return tiny_bundle(Path(tmp_path_factory.mktemp("bundles")) / "tiny")


def plain(bundle: AgentBundle, frames: list[Frame]) -> list[tuple[list[int], int]]:
    """Words and greedy action of each step, from the whole history anew at every step."""
    retriever, policy = load_retriever(bundle, device="cpu", cache_frames=0), load_policy(bundle, device="cpu")
    memory, history, found = load_slots(bundle, device="cpu", slots=1), list[int](), []
    for frame in frames:
        words = [word.row for word in retriever.retrieve([frame])[0]]
        history += words
        ((row, _),) = policy.decide([(policy.encode([frame])[0], memory.encode_history(history))])
        found.append((words, int(row.argmax())))
    return found


def seen(answers: list[Answer]) -> list[tuple[list[int], object]]:
    return [([word.row for word in one.words], one.action) for one in answers]


def test_words_and_actions_are_those_of_the_plain_engines(bundle: AgentBundle) -> None:
    frames, agent = noise(12), LocalAgent(bundle)
    assert seen([agent.act(["one"], [frame])[0] for frame in frames]) == plain(bundle, frames)


def test_sessions_of_a_batch_do_not_influence_one_another(bundle: AgentBundle) -> None:
    agent, walks = LocalAgent(bundle), [noise(8, seed) for seed in range(3)]
    steps = [agent.act(["a", "b", "c"], list(now)) for now in zip(*walks, strict=True)]
    for own, walk in zip(zip(*steps, strict=True), walks, strict=True):
        assert seen(list(own)) == plain(bundle, walk)


def test_a_session_begins_anew_after_it_was_forgotten(bundle: AgentBundle) -> None:
    frames, agent = noise(5), LocalAgent(bundle)
    first = [agent.act(["one"], [frame])[0] for frame in frames]
    agent.forget("one")
    assert seen([agent.act(["one"], [frame])[0] for frame in frames]) == seen(first)


def test_a_session_whose_slot_was_taken_is_lost(bundle: AgentBundle) -> None:
    agent, (frame,) = LocalAgent(bundle, slots=1), noise(1)
    for name in ("one", "two"):
        agent.act([name], [frame])
    with pytest.raises(RuntimeError, match="lost"):
        agent.act(["one"], [frame])


def test_the_bundle_is_the_same_each_time(bundle: AgentBundle, tmp_path: Path) -> None:
    torch.manual_seed(7)  # whatever was drawn before
    assert tiny_bundle(tmp_path / "again").digest == bundle.digest
