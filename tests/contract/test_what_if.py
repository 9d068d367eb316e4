"""WhatIf: what an agent would do with another memory, computed by the memory and the policy that acted."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shelm.v1 import agent_pb2
from support.deployment import Deployment, Standalone
from support.edits import insert, remove, replace, swap
from support.errors import Code, refused
from support.frames import Frame, raw
from support.gateway import Gateway, play
from support.waiting import wait_for

from agent.bundle import MANIFEST, load_bundle, write_manifest
from agent.history import history_reach
from agent.vocabulary import Vocabulary

MODELS = Path(__file__).parents[2] / "models"
MEMORY, CORRIDOR = (MODELS / name for name in ("minigrid-memory", "minigrid-keycorridor"))
PART = load_bundle(MEMORY).manifest.memory
REACH = history_reach(PART.layers, PART.window)  # in steps too, because the shipped agent remembers one word per step
SAME = 1e-4  # of a probability or value that was computed in another batch


def what_if(
    gateway: Gateway, name: str, step: int, frame: Frame | None, *alternatives: Any, **fields: Any
) -> agent_pb2.WhatIfResponse:
    """WhatIf with the frame of the step, if any. alternatives: messages, or lists of edits."""
    request = agent_pb2.WhatIfRequest(
        episode_id=name,
        step=step,
        observation=None if frame is None else raw(frame),
        alternatives=[agent_pb2.Alternative(edits=one) if isinstance(one, list) else one for one in alternatives],
        **fields,
    )
    reply: agent_pb2.WhatIfResponse = gateway.call("WhatIf", request, seconds=120)
    return reply


def probabilities(outcome: agent_pb2.Outcome) -> list[float]:
    return list(outcome.distribution.probabilities.values)


def texts(outcome: agent_pb2.Outcome) -> dict[int, list[str]]:
    """The words of each step that an outcome tells."""
    return {one.step: [token.text for token in one.tokens] for one in outcome.words}


def absent(gateway: Gateway, held: Sequence[str]) -> str:
    """A word of the vocabulary that is not among those."""
    return next(word for word in ("ball", "key", "box", "door", "wall", "floor", "lava") if word not in held)


def some(frames: Sequence[Frame], count: int) -> list[Frame]:
    """Frames over and over."""
    return [frames[i % len(frames)] for i in range(count)]


def test_without_alternatives_it_is_the_distribution_that_acted(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    for answer in play(gateway, name, frames[:8], seed=1):
        found = what_if(gateway, name, answer.step, frames[answer.step])
        assert (found.step, found.action, list(found.alternatives)) == (answer.step, answer.action, [])
        chances = np.array(probabilities(found.actual))
        assert np.log(chances[answer.action.discrete]) == pytest.approx(answer.log_prob, abs=SAME)
        assert found.actual.distribution.entropy == pytest.approx(-(chances * np.log(chances)).sum(), abs=SAME)
        assert found.actual.most_probable.discrete == int(chances.argmax())
        assert found.actual.value == pytest.approx(answer.value, abs=SAME)
        assert not found.actual.HasField("change")


def test_words_stand_as_the_edits_leave_them(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    answers = play(gateway, name, frames[:10])
    held = [answer.tokens[0].text for answer in answers]
    first, new = held[0], absent(gateway, held)
    other = next(word for word in held if word != first)
    found = what_if(
        gateway,
        name,
        9,
        frames[9],
        [remove(first)],
        [remove(step=3)],
        [replace(held[4], new, 4), insert(other, 4), remove(step=5)],
        [swap(first, other)],
        [swap(first, other), swap(other, first)],
        [swap(new, "agent")],
    )
    assert texts(found.actual) == {step: [word] for step, word in enumerate(held)}
    assert [texts(one) for one in found.alternatives] == [
        {step: [] for step, word in enumerate(held) if word == first},
        {3: []},
        {4: [new, other], 5: []},
        {step: [{first: other, other: first}[word]] for step, word in enumerate(held) if word in (first, other)},
        {},
        {},
    ]
    placed, inserted = found.alternatives[2].words[0].tokens
    assert placed.similarity == answers[4].tokens[0].similarity
    row = next(answer.tokens[0].id for answer in answers if answer.tokens[0].text == other)
    assert (inserted.similarity, inserted.id) == (0, row)
    assert [one.change for one in found.alternatives[-2:]] == [0, 0]
    assert found.alternatives[-1].distribution == found.actual.distribution


def test_a_change_is_half_the_sum_of_all_changes_of_probability_and_that_of_an_explanation(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    held = [answer.tokens[0].text for answer in play(gateway, name, frames[:20])]
    largest = 0.0
    for step in range(2, 20):
        gone = [word for word in dict.fromkeys(held[:step]) if word != held[step]]
        found = what_if(gateway, name, step, frames[step], *([remove(word)] for word in gone))
        request = agent_pb2.ExplainStepRequest(episode_id=name, step=step, observation=raw(frames[step]))
        explained = {one.tokens[0].text: one.change for one in gateway.call("ExplainStep", request).words}
        actual = np.array(probabilities(found.actual))
        for word, one in zip(gone, found.alternatives, strict=True):
            assert one.change == pytest.approx(np.abs(actual - np.array(probabilities(one))).sum() / 2, abs=1e-5)
            assert one.change == pytest.approx(explained[word], abs=SAME)
            largest = max(largest, one.change)
    assert largest > 0.05


@pytest.mark.parametrize(("length", "fewer"), [(16, 3), (REACH + 12, 50)])
def test_without_some_steps_it_decides_as_an_episode_that_never_saw_them(
    gateway: Gateway, name: str, frames: Sequence[Frame], length: int, fewer: int
) -> None:
    seen = some(frames, length)
    play(gateway, name, seen)
    gone = set(range(length - 5 - fewer, length - 5))
    found = what_if(gateway, name, length - 1, seen[-1], [remove(step=step) for step in gone])
    assert found.reach_from_step == max(0, length - 1 - REACH)
    never = [frame for step, frame in enumerate(seen) if step not in gone]
    last = play(gateway, f"{name}:never", never, deterministic=True)[-1]
    (one,) = found.alternatives
    assert one.value == pytest.approx(last.value, abs=SAME)
    assert one.most_probable == last.action
    assert np.log(probabilities(one)[last.action.discrete]) == pytest.approx(last.log_prob, abs=SAME)


def test_only_steps_within_reach_may_be_named(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    seen = some(frames, REACH + 5)
    play(gateway, name, seen)
    step = REACH + 4
    assert what_if(gateway, name, step, seen[-1], [remove(step=4)]).alternatives[0].words[0].step == 4
    refusal = refused(lambda: what_if(gateway, name, step, seen[-1], [remove(step=3)]))
    assert list(refusal.fields) == ["alternatives[0].edits[0].remove.step"]
    assert f"4..{step}" in refusal.message


def test_nothing_in_redis_changes_and_the_episode_goes_on(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    play(deployment.gateway, f"{name}:plain", frames[:12], seed=5)
    play(deployment.gateway, name, frames[:10], seed=5)
    with deployment.redis() as client:

        def content() -> dict[bytes, bytes | None]:
            return {key: client.dump(key) for key in client.scan_iter(match=f"*{name}*")}

        before = content()
        assert len(before) == 4
        for step in range(10):
            what_if(deployment.gateway, name, step, frames[step], [insert("key", step)], [swap("key", "ball")])
        assert content() == before
    for step in (10, 11):
        answer = deployment.gateway.act(name, step, frames[step])
        assert answer.action == deployment.gateway.act(f"{name}:plain", step, frames[step]).action
        assert not answer.memory.rebuilt


WRONG: dict[str, tuple[list[Any], str]] = {
    "an unknown word": ([[swap("key", "zzz")]], "alternatives[0].edits[0].swap.other"),
    "the other unknown word": ([[swap("zzz", "key")]], "alternatives[0].edits[0].swap.word"),
    "an unknown word to remove": ([[], [remove("zzz")]], "alternatives[1].edits[0].remove.word"),
    "an unknown replacement": ([[replace("key", "zzz")]], "alternatives[0].edits[0].replace.replacement"),
    "a word to replace that is unknown": ([[replace("zzz", "key")]], "alternatives[0].edits[0].replace.word"),
    "an unknown word to insert": ([[insert("zzz", 1)]], "alternatives[0].edits[0].insert.word"),
    "a step to come": ([[insert("key", 4)]], "alternatives[0].edits[0].insert.step"),
    "a step far off": ([[remove(step=2**63)]], "alternatives[0].edits[0].remove.step"),
    "a word that the step does not hold": ([[remove(step=0), remove("key", 0)]], "alternatives[0].edits[1].remove.word"),
    "neither word nor step": ([[remove()]], "alternatives[0].edits[0].remove"),
    "no edit": ([[agent_pb2.Edit()]], "alternatives[0].edits[0]"),
    "no word left": ([[remove(step=step) for step in range(4)]], "alternatives[0].edits"),
    "many edits": ([[insert("key", 1)] * 65], "alternatives[0].edits"),
    "many alternatives": ([[]] * 17, "alternatives"),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_what_cannot_be_names_the_field(gateway: Gateway, name: str, frames: Sequence[Frame], case: str) -> None:
    play(gateway, name, frames[:4])
    alternatives, field = WRONG[case]
    refusal = refused(lambda: what_if(gateway, name, 3, frames[3], *alternatives))
    assert (refusal.kind, list(refusal.fields)) == ((Code.INVALID_ARGUMENT, "INVALID_FIELD"), [field])


def test_steps_and_frames_are_refused_as_explanations_are(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    play(gateway, name, frames[:4])
    for step, frame, reason in (
        (3, frames[4], "STEP_CONFLICT"),
        (3, None, "FRAME_NEEDED"),
        (4, frames[4], "STEP_NOT_COMMITTED"),
    ):
        assert refused(lambda step=step, frame=frame: what_if(gateway, name, step, frame)).reason == reason  # type: ignore[misc]
    assert refused(lambda: what_if(gateway, f"{name}:no", 0, frames[0])).reason == "EPISODE_NOT_FOUND"


def reordered(bundle: Path, folder: Path) -> Path:
    """A bundle whose vocabulary has the same words in other rows."""
    shutil.copytree(bundle, folder)
    path = folder / "vocabulary.safetensors"
    whole = Vocabulary.load(path)
    Vocabulary(whole.words[::-1], whole.embeddings.flip(0), whole.token_ids.flip(0), whole.provenance).save(path)
    content = json.loads((folder / MANIFEST).read_text()) | {"name": folder.name}
    write_manifest(folder, content)
    return folder


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Deployment]:
    """A server with two agents of the same words and one of others, which records frames and has an archive."""
    folder = tmp_path_factory.mktemp("several")
    other = reordered(MEMORY, folder / "reordered")
    settings = {
        "SHELM_AGENTS": ",".join(map(str, (MEMORY, CORRIDOR, other))),
        "SHELM_RECORD": str(folder / "frames"),
        "SHELM_ARCHIVE": str(folder / "archive"),
        "SHELM_ENDED_TTL": "1",
    }
    with Standalone(folder / "run", settings).running() as running:
        yield running


def test_another_agent_with_the_same_words_may_decide(several: Deployment, name: str, frames: Sequence[Frame]) -> None:
    gateway = several.gateway
    play(gateway, name, frames[:8], agent="minigrid-memory")
    played = play(gateway, f"{name}:other", frames[:8], agent="minigrid-keycorridor", deterministic=True)
    other = agent_pb2.Alternative(agent="minigrid-keycorridor")
    found = what_if(gateway, name, 7, frames[7], other, [])
    assert list(found.alternatives[0].words) == []
    assert found.alternatives[0].value == pytest.approx(played[7].value, abs=SAME)
    assert found.alternatives[0].most_probable == played[7].action
    assert found.alternatives[0].change > 0.01
    assert found.alternatives[1].distribution == found.actual.distribution
    for wrong, reason in (("reordered", "INVALID_FIELD"), ("nobody", "AGENT_NOT_FOUND")):
        bad = agent_pb2.Alternative(agent=wrong)
        refusal = refused(lambda bad=bad: what_if(gateway, name, 7, frames[7], [], bad))  # type: ignore[misc]
        assert (refusal.reason, list(refusal.fields)) == (reason, ["alternatives[1].agent"])


def test_an_episode_that_the_archive_alone_has_is_questioned_as_a_live_one(
    several: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway = several.gateway
    held = [answer.tokens[0].text for answer in play(gateway, name, frames[:6])]
    live = what_if(gateway, name, 5, frames[5], [remove(held[0])])
    gateway.end(name)
    wait_for("in the archive alone", lambda: not gateway.episode(name).HasField("expire_time"))
    assert what_if(gateway, name, 5, frames[5], [remove(held[0])]) == live
    assert what_if(gateway, name, 5, None, [remove(held[0])]) == live, "the frame was recorded"
