"""BranchEpisode: an episode that goes on from a step of another one, with other words in its memory."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from shelm.v1 import agent_pb2
from support.deployment import Deployment, Standalone
from support.edits import insert, remove, replace, swap
from support.errors import Code, refused
from support.frames import Frame, raw
from support.gateway import Gateway, act_request, lines, play, stored
from support.waiting import wait_for

from agent.bundle import load_bundle
from agent.history import empty_history, extend_history, history_reach
from services.protocol.steps import read_stored_step
from services.store.keys import STEP_FIELD, episode_key, history_key

MODELS = Path(__file__).parents[2] / "models"
PART = load_bundle(MODELS / "minigrid-memory").manifest.memory
REACH = history_reach(PART.layers, PART.window)  # in steps too, because the shipped agent remembers one word per step
SAME = 1e-4  # of a probability or value that was computed in another batch


def branch(gateway: Gateway, name: str, source: str, step: int, *edits: agent_pb2.Edit, **fields: Any) -> agent_pb2.Episode:
    request = agent_pb2.BranchEpisodeRequest(episode_id=name, source_episode_id=source, step=step, edits=edits, **fields)
    episode: agent_pb2.Episode = gateway.call("BranchEpisode", request).episode
    return episode


def imagined(gateway: Gateway, name: str, step: int, frame: Frame, *edits: agent_pb2.Edit) -> agent_pb2.Outcome:
    """What WhatIf says of the step with these edits."""
    alternative = agent_pb2.Alternative(edits=edits)
    request = agent_pb2.WhatIfRequest(episode_id=name, step=step, observation=raw(frame), alternatives=[alternative])
    outcome: agent_pb2.Outcome = gateway.call("WhatIf", request, seconds=120).alternatives[0]
    return outcome


def some(frames: Sequence[Frame], count: int) -> list[Frame]:
    """Frames over and over."""
    return [frames[i % len(frames)] for i in range(count)]


def texts(gateway: Gateway, name: str) -> list[list[str]]:
    return [[token.text for token in step.tokens] for step in gateway.memory(name)]


def close(answer: agent_pb2.ActResponse, outcome: agent_pb2.Outcome) -> None:
    """An Act decided as WhatIf has said."""
    assert answer.value == pytest.approx(outcome.value, abs=SAME)
    assert list(answer.distribution.probabilities.values) == pytest.approx(
        list(outcome.distribution.probabilities.values), abs=SAME
    )


def test_without_edits_it_goes_on_as_its_source_did(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    answers = play(gateway, f"{name}:source", frames[:12], seed=3)
    made = branch(gateway, name, f"{name}:source", 7)
    assert (made.committed_step, made.memory_length, made.seed, made.ended) == (6, 7, 3, False)
    for step in range(7, 12):
        answer = gateway.act(name, step, frames[step])
        assert not answer.replayed
        assert answer.memory.rebuilt == (step == 7)
        assert answer.memory.length == step + 1
        assert (answer.action, [one.text for one in answer.tokens]) == (
            answers[step].action,
            [one.text for one in answers[step].tokens],
        )
        assert answer.value == pytest.approx(answers[step].value, abs=SAME)
    assert lines(gateway.memory(name)) == lines(answers)
    assert gateway.act(name, 3, frames[3]).replayed


def everywhere(held: Sequence[str], word: str, other: str = "") -> list[agent_pb2.Edit]:
    """What a swap of two words, or the removal of one, does to each step."""
    to = {word: other, other: word}
    found = [(step, one) for step, one in enumerate(held) if one in (word, other)]
    return [replace(one, to[one], step) if other else remove(step=step) for step, one in found]


Edits = list[agent_pb2.Edit]
# What is asked of words of steps, and the same step by step: WhatIf would edit the branch's own steps as well.
EDITS: dict[str, Callable[[Sequence[str]], tuple[Edits, Edits]]] = {
    "a swap": lambda held: ([swap(held[0], held[3])], everywhere(held, held[0], held[3])),
    "a removed word": lambda held: ([remove(held[0])], everywhere(held, held[0])),
    "a replacement": lambda held: ([replace(held[4], held[0], 4)],) * 2,
    "removed steps": lambda held: ([remove(step=2), remove(held[6], 6)],) * 2,
    "inserted words": lambda _: ([insert("key", 1), insert("ball", 1), insert("box", 7)],) * 2,
    "all of them": lambda _: ([remove(step=2), insert("key", 1), replace("key", "ball", 1), insert("box", 2)],) * 2,
    "nothing left": lambda held: ([remove(step=step) for step in range(len(held))],) * 2,
}


@pytest.mark.parametrize("kind", list(EDITS))
def test_it_decides_as_what_if_has_said_warm_and_rebuilt(
    deployment: Deployment, replica: Gateway, name: str, frames: Sequence[Frame], kind: str
) -> None:
    gateway, source = deployment.gateway, f"{name}:source"
    held = [answer.tokens[0].text for answer in play(gateway, source, frames[:12], seed=3)]
    edits, by_step = EDITS[kind](held[:8])
    for one in (name, f"{name}:elsewhere"):
        branch(gateway, one, source, 8, *edits)
    for step in range(8, 12):
        answer = gateway.act(name, step, frames[step], distribution=True)
        close(answer, imagined(gateway, source, step, frames[step], *by_step))
        elsewhere = (gateway, replica)[step % 2].act(f"{name}:elsewhere", step, frames[step])
        assert elsewhere.value == pytest.approx(answer.value, abs=SAME)
        assert elsewhere.action == answer.action
        assert elsewhere.memory.length == answer.memory.length


def test_words_that_come_within_reach_are_remembered(
    deployment: Deployment, replica: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    gateway, source, length = deployment.gateway, f"{name}:source", REACH + 20
    seen = some(frames, length)
    play(gateway, source, seen)
    edits = [remove(step=step) for step in (REACH, REACH + 3, REACH + 9)]
    branch(gateway, name, source, length - 2, *edits)
    for step, at in ((length - 2, gateway), (length - 1, replica)):
        said = imagined(gateway, source, step, seen[step], *edits)
        close(at.act(name, step, seen[step], distribution=True), said)
    within = {step.step for step in gateway.memory(name) if step.in_window}
    gone = {REACH, REACH + 3, REACH + 9}
    assert within == set(range(length - PART.window + 1 - len(gone), length)) - gone


def test_its_record_and_memory_say_where_it_comes_from(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    source = f"{name}:source"
    answers = play(gateway, source, frames[:6])
    edits = [remove(step=1), replace(answers[2].tokens[0].text, "ball", 2), insert("key", 4)]
    made = branch(gateway, name, source, 5, *edits)
    told = agent_pb2.Branch(
        source_episode_id=source, source_incarnation=gateway.episode(source).incarnation, step=5, edits=edits
    )
    assert made.branch == told
    assert gateway.episode(name).branch == told
    reply = gateway.call("GetMemory", agent_pb2.GetMemoryRequest(episode_id=name))
    assert reply.branch == told
    held = [answer.tokens[0].text for answer in answers]
    assert texts(gateway, name) == [[held[0]], [], ["ball"], [held[3]], [held[4], "key"]]
    assert made.memory_length == 5
    for one, step in zip(reply.steps, gateway.memory(source), strict=False):
        assert (one.action, one.value, one.time) == (step.action, step.value, step.time)
    assert not gateway.episode(source).HasField("branch")
    assert texts(gateway, source) == [[word] for word in held]


def test_the_digests_of_its_history_are_those_of_its_words(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway = deployment.gateway
    play(gateway, f"{name}:source", frames[:6])
    made = branch(gateway, name, f"{name}:source", 4, insert("key", 2), remove(step=0))
    gateway.act(name, 4, frames[4])
    with deployment.redis() as client:
        entries = client.xrange(history_key(name))
        digest = empty_history(made.agent_digest)
        for _, fields in entries:
            record = read_stored_step(fields[STEP_FIELD.encode()])
            digest = extend_history(digest, [word.row for word in record.words])
            assert record.history_digest == digest
        assert len(entries) == 5
        assert client.hget(episode_key(name), "history") == digest
        assert int(client.hget(episode_key(name), "length")) == 5


def test_the_same_request_gives_the_same_branch_even_when_the_source_is_gone(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    source, edits = f"{name}:source", [swap("key", "ball")]
    play(gateway, source, frames[:6])
    made = branch(gateway, name, source, 4, *edits, seed=9, deterministic=True)
    assert (made.seed, made.deterministic) == (9, True)
    assert branch(gateway, name, source, 4, *edits, seed=9).incarnation == made.incarnation
    taken = gateway.act(name, 4, frames[4])
    assert gateway.call("DeleteEpisode", agent_pb2.DeleteEpisodeRequest(episode_id=source)).deleted
    again = branch(gateway, name, source, 4, *edits)
    assert (again.incarnation, again.committed_step) == (made.incarnation, 4)
    assert stored(gateway.act(name, 4, frames[4])) == stored(taken)
    assert gateway.act(name, 5, frames[5]).committed_step == 5
    assert len(gateway.memory(name)) == 6
    assert refused(lambda: branch(gateway, f"{name}:late", source, 4)).reason == "EPISODE_NOT_FOUND"


def test_another_request_for_the_name_is_refused(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    source = f"{name}:source"
    play(gateway, source, frames[:6])
    play(gateway, f"{name}:other", frames[:6])
    branch(gateway, name, source, 4, swap("key", "ball"))
    wrong: dict[str, Any] = {
        "source_episode_id": lambda: branch(gateway, name, f"{name}:other", 4, swap("key", "ball")),
        "step": lambda: branch(gateway, name, source, 3, swap("key", "ball")),
        "edits": lambda: branch(gateway, name, source, 4),
        "seed": lambda: branch(gateway, name, source, 4, swap("key", "ball"), seed=77),
        "deterministic": lambda: branch(gateway, name, source, 4, swap("key", "ball"), deterministic=True),
    }
    for field, call in wrong.items():
        refusal = refused(call)
        assert refusal.kind == (Code.ALREADY_EXISTS, "EPISODE_EXISTS")
        assert refusal.message.startswith(f"{field}: ")
    assert refused(lambda: branch(gateway, f"{name}:other", source, 4)).reason == "EPISODE_EXISTS", "no branch at all"
    assert gateway.episode(name).committed_step == 3


WRONG: dict[str, tuple[dict[str, Any], list[agent_pb2.Edit], str, str]] = {
    "no name": ({"name": ""}, [], "INVALID_FIELD", "episode_id"),
    "no source": ({"source": ""}, [], "INVALID_FIELD", "source_episode_id"),
    "itself": ({"name": "SOURCE"}, [], "INVALID_FIELD", "episode_id"),
    "nobody": ({"source": "nobody"}, [], "EPISODE_NOT_FOUND", ""),
    "a step to come": ({"step": 5}, [], "STEP_NOT_COMMITTED", ""),
    "a huge step": ({"step": 2**60}, [], "INVALID_FIELD", "step"),
    "an unknown word": ({}, [swap("key", "zzz")], "INVALID_FIELD", "edits[0].swap.other"),
    "an edit of its own step": ({}, [insert("key", 3)], "INVALID_FIELD", "edits[0].insert.step"),
    "many edits": ({}, [swap("key", "ball")] * 65, "INVALID_FIELD", "edits"),
    "an edit of nothing": ({"step": 0}, [remove(step=0)], "INVALID_FIELD", "edits[0].remove.step"),
    "a huge seed": ({"seed": 2**63}, [], "INVALID_FIELD", "seed"),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_what_cannot_be_names_the_field_and_creates_nothing(
    gateway: Gateway, name: str, frames: Sequence[Frame], case: str
) -> None:
    source = f"{name}:source"
    play(gateway, source, frames[:4])
    changes, edits, reason, field = WRONG[case]
    asked = {"name": name, "source": source, "step": 3, **changes}
    asked["name"] = source if asked["name"] == "SOURCE" else asked["name"]
    refusal = refused(lambda: branch(gateway, asked.pop("name"), asked.pop("source"), asked.pop("step"), *edits, **asked))
    assert (refusal.reason, list(refusal.fields)) == (reason, [field] if field else [])
    assert refused(lambda: gateway.episode(name)).reason == "EPISODE_NOT_FOUND"


def test_a_branch_is_explained_watched_batched_ended_and_branched_as_any_other(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    source = f"{name}:source"
    held = [answer.tokens[0].text for answer in play(gateway, source, frames[:8])]
    branch(gateway, name, source, 6, remove(step=1), insert("key", 3))
    (result,) = gateway.act_batch([act_request(name, 6, frames[6])])
    request = agent_pb2.ExplainStepRequest(episode_id=name, step=6, observation=raw(frames[6]))
    explained = gateway.call("ExplainStep", request)
    assert explained.decision.value == pytest.approx(result.response.value, abs=SAME)
    assert sorted(one.steps[0] for one in explained.steps) == [0, 2, 3, 4, 5]
    assert explained.reach_from_step == 0
    branch(gateway, f"{name}:twice", name, 7, swap("key", "ball"))
    to = {"key": "ball", "ball": "key"}
    expected = [[held[0]], [], [held[2]], [held[3], "key"], [held[4]]]
    assert texts(gateway, f"{name}:twice")[:5] == [[to.get(word, word) for word in words] for words in expected]
    assert gateway.episode(f"{name}:twice").branch.source_episode_id == name
    branch(gateway, f"{name}:again", name, 6)
    said = imagined(gateway, name, 6, frames[6])
    close(gateway.act(f"{name}:again", 6, frames[6], distribution=True), said)
    after = gateway.act(f"{name}:twice", 7, frames[7])
    assert after.memory.length == gateway.episode(f"{name}:twice").memory_length == 8
    gateway.end(name)
    assert [reply.step.step for reply in gateway.watch(name)] == list(range(7))
    listed = gateway.call("ListEpisodes", agent_pb2.ListEpisodesRequest(page_size=1000)).episodes
    assert {one.episode_id for one in listed if one.branch.source_episode_id == source} >= {name}


def test_a_branch_at_step_0_begins_anew_with_agent_and_seed(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    answers = play(gateway, f"{name}:source", frames[:3], seed=11)
    made = branch(gateway, name, f"{name}:source", 0)
    assert (made.HasField("committed_step"), made.seed, made.branch.step) == (False, 11, 0)
    assert [gateway.act(name, step, frames[step]).action for step in range(3)] == [one.action for one in answers]


def test_steps_that_are_no_longer_retained_are_not_needed_beyond_reach(
    cramped: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    # 64 steps are retained there, and a memory vector reaches 62 steps back.
    gateway, source, seen = cramped.gateway, f"{name}:source", some(frames, 82)
    play(gateway, source, seen[:80])
    assert refused(lambda: branch(gateway, name, source, 78)).reason == "STEP_TOO_OLD"
    many = [edit for step in (60, 61, 62) for edit in (remove(step=step), insert("key", 20))]
    refusal = refused(lambda: branch(gateway, name, source, 80, *many))
    assert (refusal.reason, list(refusal.fields)) == ("INVALID_FIELD", ["edits"])
    refusal = refused(lambda: branch(gateway, name, source, 80, insert("key", 16)))
    assert (list(refusal.fields), "17..79" in refusal.message) == (["edits[0].insert.step"], True)
    branch(gateway, name, source, 80, insert("key", 20))
    assert [step.step for step in gateway.memory(name)] == list(range(17, 80))
    said = []
    for step in (80, 81):
        gateway.act(source, step, seen[step])
        said.append(imagined(gateway, source, step, seen[step], insert("key", 20)))
    for step in (80, 81):
        answer = gateway.act(name, step, seen[step], distribution=True)
        close(answer, said[step - 80])
        assert answer.memory.length == step + 2


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Deployment]:
    """A server with an agent of three words a step, that records frames and has an archive; Redis soon forgets what ends."""
    folder = tmp_path_factory.mktemp("several")
    settings = {
        "SHELM_AGENTS": ",".join(str(MODELS / one) for one in ("minigrid-memory", "minigrid-redbluedoors")),
        "SHELM_RECORD": str(folder / "frames"),
        "SHELM_ARCHIVE": str(folder / "archive"),
        "SHELM_ENDED_TTL": "1",
        "SHELM_SLOTS": "1",
    }
    with Standalone(folder / "run", settings).running() as running:
        yield running


def test_an_agent_of_several_words_a_step_goes_on_from_any_number(
    several: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway, source = several.gateway, f"{name}:source"
    answers = play(gateway, source, some(frames, 80), agent="minigrid-redbluedoors")
    first, second, third = (token.text for token in answers[70].tokens)
    edits = [remove(first, 70), insert(second, 60), remove(third, 70), remove(step=50)]
    made = branch(gateway, name, source, 78, *edits)
    assert made.memory_length == 78 * 3 - 4
    for step in (78, 79):
        answer = gateway.act(name, step, frames[step], distribution=True)
        close(answer, imagined(gateway, source, step, frames[step], *edits))
        gateway.act(f"{name}:evicts", step - 78, frames[0], agent="minigrid-redbluedoors")


def test_sources_and_branches_lie_in_the_archive(several: Deployment, name: str, frames: Sequence[Frame]) -> None:
    gateway, source = several.gateway, f"{name}:source"
    held = [answer.tokens[0].text for answer in play(gateway, source, frames[:6])]
    gateway.end(source)
    wait_for("in the archive alone", lambda: not gateway.episode(source).HasField("expire_time"))
    edits = [remove(step=1), replace(held[0], "ball", 0)]
    made = branch(gateway, name, source, 6, *edits)
    gateway.act(name, 6, frames[6])
    gateway.end(name, total_reward=0.5)
    wait_for("in the archive alone", lambda: not gateway.episode(name).HasField("expire_time"))
    kept = gateway.episode(name)
    assert (kept.branch, kept.committed_step, kept.total_reward) == (made.branch, 6, 0.5)
    assert texts(gateway, name)[:3] == [["ball"], [], [held[2]]]
    branch(gateway, f"{name}:twice", name, 7)
    assert gateway.act(f"{name}:twice", 7, frames[7]).memory.length == 7
    archived = gateway.call("ListEpisodes", agent_pb2.ListEpisodesRequest(archived=True, page_size=1000)).episodes
    assert next(one for one in archived if one.episode_id == name).branch == made.branch


def test_the_frames_of_its_first_steps_are_its_sources(several: Deployment, name: str, frames: Sequence[Frame]) -> None:
    gateway, source = several.gateway, f"{name}:source"
    play(gateway, source, frames[:4])
    branch(gateway, name, source, 3)
    branch(gateway, f"{name}:twice", name, 3)
    answer = gateway.act(f"{name}:twice", 3, frames[9])

    def frame_of(one: str, step: int) -> bytes:
        """Its file; empty until it is written, in the background."""
        future = gateway.stub.GetFrame.future(agent_pb2.GetFrameRequest(episode_id=one, step=step), timeout=30)
        return bytes(future.result().frame.data) if future.exception() is None else b""

    wait_for("recorded", lambda: frame_of(source, 2) and frame_of(f"{name}:twice", 3))
    assert frame_of(name, 2) == frame_of(f"{name}:twice", 2) == frame_of(source, 2)
    assert frame_of(f"{name}:twice", 3) != frame_of(source, 3)
    found = gateway.call("WhatIf", agent_pb2.WhatIfRequest(episode_id=f"{name}:twice", step=3)).actual
    assert found.value == pytest.approx(answer.value, abs=SAME)
