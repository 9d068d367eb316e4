"""ExplainStep: which words of the past decided a step, measured with the memory and the policy that acted."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from shelm.v1 import agent_pb2
from support.deployment import Deployment
from support.errors import Code, refusal_of_call, refused
from support.frames import Frame, png, raw
from support.gateway import Gateway, play

from agent.bundle import load_bundle
from agent.history import history_reach
from services.store.keys import episode_key, history_key

BUNDLE = Path(__file__).parents[2] / "models/minigrid-memory"
PART = load_bundle(BUNDLE).manifest.memory
REACH = history_reach(PART.layers, PART.window)  # in steps too, because the shipped agent remembers one word per step
SAME = 1e-4  # of a probability or value that was computed in another batch


def explain(
    gateway: Gateway, name: str, step: int, frame: Frame | None = None, **fields: Any
) -> agent_pb2.ExplainStepResponse:
    """ExplainStep with the frame of the step, if any."""
    observation = None if frame is None else raw(frame)
    request = agent_pb2.ExplainStepRequest(episode_id=name, step=step, observation=observation, **fields)
    reply: agent_pb2.ExplainStepResponse = gateway.call("ExplainStep", request, seconds=120)
    return reply


def some(frames: Sequence[Frame], count: int) -> list[Frame]:
    """Frames over and over."""
    return [frames[i % len(frames)] for i in range(count)]


def half_l1(one: agent_pb2.Decision, other: agent_pb2.Decision) -> float:
    return float(np.abs(np.array(one.probabilities) - np.array(other.probabilities)).sum() / 2)


@pytest.fixture(scope="module")
def long_episode(deployment: Deployment, frames: Sequence[Frame]) -> str:
    """An episode that is longer than its memory reaches."""
    name = "explained:long"
    play(deployment.gateway, name, some(frames, REACH + 12), seed=3)
    return name


def test_the_decision_with_the_whole_memory_is_the_one_that_was_committed(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    answers = play(gateway, name, frames[:12], seed=1)
    for answer in answers:
        explained = explain(gateway, name, answer.step, frames[answer.step])
        assert explained.step == answer.step
        assert explained.action == answer.action
        assert explained.decision.value == pytest.approx(answer.value, abs=SAME)
        probabilities = np.array(explained.decision.probabilities)
        assert len(probabilities) == gateway.agent().action_space.discrete
        assert probabilities.sum() == pytest.approx(1, abs=SAME)
        assert np.log(probabilities[answer.action.discrete]) == pytest.approx(answer.log_prob, abs=SAME)
        assert explained.decision.most_probable.discrete == int(probabilities.argmax())


def test_every_earlier_word_and_step_is_taken_away_once(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    answers = play(gateway, name, frames[:20])
    explained = explain(gateway, name, 19, frames[19])
    seen: dict[int, list[int]] = {}
    for answer in answers[:-1]:
        seen.setdefault(answer.tokens[0].id, []).append(answer.step)
    assert {one.tokens[0].id: list(one.steps) for one in explained.words} == seen
    assert all(len(one.tokens) == 1 for one in explained.words)
    taken = {one.steps[0]: [token.id for token in one.tokens] for one in explained.steps}
    assert taken == {answer.step: [token.id for token in answer.tokens] for answer in answers[:-1]}
    assert all(len(one.steps) == 1 for one in explained.steps)
    assert explained.reach_from_step == 0


def test_a_change_is_half_the_sum_of_all_changes_of_probability_and_the_largest_comes_first(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    play(gateway, name, frames[:20])
    largest = 0.0
    for step in range(1, 20):
        explained = explain(gateway, name, step, frames[step])
        for influences in (explained.words, explained.steps):
            changes = [one.change for one in influences]
            assert changes == sorted(changes, reverse=True)
            largest = max(largest, changes[0])
            for one in influences:
                assert 0 <= one.change <= 1
                assert one.change == pytest.approx(half_l1(explained.decision, one.without), abs=1e-5)
    assert largest > 0.05


def test_what_remains_without_a_word_decides_as_an_episode_that_never_saw_it(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    answers = play(gateway, name, frames[:16])
    explained = explain(gateway, name, 15, frames[15])
    assert len(explained.words) > 1
    for influence in explained.words:
        kept = [i for i in range(15) if answers[i].tokens[0].id != influence.tokens[0].id]
        other = f"{name}:without-{influence.tokens[0].id}"
        last = play(gateway, other, [frames[i] for i in (*kept, 15)], deterministic=True)[-1]
        assert influence.without.value == pytest.approx(last.value, abs=SAME)
        assert influence.without.most_probable == last.action
        assert np.log(influence.without.probabilities[last.action.discrete]) == pytest.approx(last.log_prob, abs=SAME)


def test_the_first_step_has_no_past(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    play(gateway, name, frames[:3])
    explained = explain(gateway, name, 0, frames[0])
    assert (list(explained.words), list(explained.steps), explained.reach_from_step) == ([], [], 0)
    assert explained.decision.probabilities


def test_only_what_is_within_reach_is_taken_away(gateway: Gateway, long_episode: str, frames: Sequence[Frame]) -> None:
    step = REACH + 11
    explained = explain(gateway, long_episode, step, some(frames, step + 1)[-1], max_steps=1000)
    assert explained.reach_from_step == step - REACH
    assert sorted(one.steps[0] for one in explained.steps) == list(range(step - REACH, step))
    assert min(step for one in explained.words for step in one.steps) == step - REACH
    stored = gateway.memory(long_episode, from_step=step)[0]
    assert explained.decision.value == pytest.approx(stored.value, abs=SAME)


@pytest.mark.parametrize(("asked", "taken"), [(1, 1), (7, 7), (0, 64)])
def test_the_latest_max_steps_steps_are_taken_away(
    gateway: Gateway, long_episode: str, frames: Sequence[Frame], asked: int, taken: int
) -> None:
    step = REACH + 11
    explained = explain(gateway, long_episode, step, some(frames, step + 1)[-1], max_steps=asked)
    expected = list(range(max(step - taken, explained.reach_from_step), step))
    assert sorted(one.steps[0] for one in explained.steps) == expected
    assert len(explained.words) > 1


def test_explaining_twice_gives_the_same_answer(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    play(gateway, name, frames[:24])
    first, again = (explain(gateway, name, 23, frames[23]) for _ in range(2))
    for one, other in ((first.words, again.words), (first.steps, again.steps)):
        assert [list(influence.steps) for influence in one] == [list(influence.steps) for influence in other]
        assert [influence.change for influence in one] == pytest.approx([i.change for i in other], abs=2e-6)
    unmoved = [one.steps[0] for one in first.steps if one.change == 0]
    assert unmoved == sorted(unmoved)


def test_explaining_changes_nothing_in_redis(deployment: Deployment, name: str, frames: Sequence[Frame]) -> None:
    play(deployment.gateway, name, frames[:10])
    with deployment.redis() as client:

        def content() -> dict[bytes, bytes]:
            return {key: client.dump(key) for key in (episode_key(name).encode(), history_key(name).encode())}

        before, keys = content(), set(client.scan_iter(match=f"*{name}*"))
        assert all(before.values())
        assert len(keys) == 2
        explain(deployment.gateway, name, 9, frames[9])
        assert content() == before
        assert set(client.scan_iter(match=f"*{name}*")) == keys


def test_an_explained_episode_goes_on_as_if_nothing_had_been_asked(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    plain = play(gateway, f"{name}:plain", frames[:12], seed=5)
    gateway.create(name, seed=5)
    for step in range(12):
        answer = gateway.act(name, step, frames[step])
        explain(gateway, name, step, frames[step])
        assert answer.action == plain[step].action
        assert answer.value == plain[step].value or answer.value == pytest.approx(plain[step].value, abs=SAME)
        assert not answer.memory.rebuilt


def test_a_png_of_the_same_pixels_is_the_same_frame(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    play(gateway, name, frames[:4])
    request = agent_pb2.ExplainStepRequest(episode_id=name, step=3, observation=png(frames[3]))
    assert gateway.call("ExplainStep", request).decision == explain(gateway, name, 3, frames[3]).decision


def refusals_of(name: str, frames: Sequence[Frame]) -> dict[str, tuple[Callable[[Gateway], object], Code, str, list[str]]]:
    """What is asked of an episode with four steps -> code, reason, fields."""
    small = raw(frames[3][:20])
    return {
        "another frame": (lambda d: explain(d, name, 3, frames[4]), Code.ABORTED, "STEP_CONFLICT", []),
        "no frame": (lambda d: explain(d, name, 3), Code.FAILED_PRECONDITION, "FRAME_NEEDED", []),
        "not yet": (lambda d: explain(d, name, 4, frames[4]), Code.FAILED_PRECONDITION, "STEP_NOT_COMMITTED", []),
        "nobody": (lambda d: explain(d, f"{name}:no", 0, frames[0]), Code.NOT_FOUND, "EPISODE_NOT_FOUND", []),
        "no name": (lambda d: explain(d, "", 0, frames[0]), Code.INVALID_ARGUMENT, "INVALID_FIELD", ["episode_id"]),
        "huge step": (lambda d: explain(d, name, 2**60), Code.INVALID_ARGUMENT, "INVALID_FIELD", ["step"]),
        "many steps": (
            lambda d: explain(d, name, 3, frames[3], max_steps=1001),
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD",
            ["max_steps"],
        ),
        "small frame": (
            lambda d: d.call("ExplainStep", agent_pb2.ExplainStepRequest(episode_id=name, step=3, observation=small)),
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD",
            ["observation.height"],
        ),
    }


@pytest.mark.parametrize("case", list(refusals_of("", [np.zeros((56, 56, 3), np.uint8)] * 5)))
def test_what_cannot_be_explained_is_refused_with_its_reason(
    gateway: Gateway, name: str, frames: Sequence[Frame], case: str
) -> None:
    play(gateway, name, frames[:4])
    call, code, reason, fields = refusals_of(name, frames)[case]
    refusal = refused(lambda: call(gateway))
    assert (refusal.kind, list(refusal.fields)) == ((code, reason), fields)
    if reason == "STEP_NOT_COMMITTED":
        assert refusal.metadata["committed_step"] == "3"
    if reason == "FRAME_NEEDED":
        assert "observation" in refusal.message
        assert "SHELM_RECORD" in refusal.message


def test_a_passed_deadline_ends_the_work(gateway: Gateway, long_episode: str, frames: Sequence[Frame]) -> None:
    step = REACH + 11
    image = raw(some(frames, step + 1)[-1])
    request = agent_pb2.ExplainStepRequest(episode_id=long_episode, step=step, observation=image)
    with pytest.raises(Exception, match="DEADLINE_EXCEEDED"):
        gateway.call("ExplainStep", request, seconds=0.05)
    assert explain(gateway, long_episode, step, some(frames, step + 1)[-1]).words


def test_a_step_whose_past_is_no_longer_retained_is_too_old(cramped: Deployment, name: str, frames: Sequence[Frame]) -> None:
    # 64 steps are retained there, and a memory vector reaches 62 steps back.
    played = some(frames, 80)
    play(cramped.gateway, name, played)
    assert explain(cramped.gateway, name, 79, played[79], max_steps=1).reach_from_step == 79 - REACH
    for step in (70, 3):
        refusal = refused(partial(explain, cramped.gateway, name, step, played[step]))
        assert refusal.kind == (Code.OUT_OF_RANGE, "STEP_TOO_OLD")
        assert str(step) in refusal.message
        assert refusal.metadata["committed_step"] == "79"


def test_too_many_explanations_at_once_are_refused_and_acting_goes_on(
    gateway: Gateway, name: str, long_episode: str, frames: Sequence[Frame]
) -> None:
    step = REACH + 11
    frame = some(frames, step + 1)[-1]
    outcomes: list[str] = []

    def ask() -> None:
        try:
            explain(gateway, long_episode, step, frame)
            outcomes.append("explained")
        except grpc.RpcError as error:
            outcomes.append(refusal_of_call(error).reason)

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    answers = [gateway.act(name, i, frames[i]) for i in range(10)]
    for thread in threads:
        thread.join(250)
    assert len(outcomes) == 24
    assert set(outcomes) == {"explained", "QUEUE_FULL"}
    assert outcomes.count("explained") >= 8
    assert [answer.step for answer in answers] == list(range(10))


@pytest.fixture
def explaining(gateway: Gateway, long_episode: str, frames: Sequence[Frame]) -> Iterator[threading.Event]:
    """An explanation under way for as long as the test lasts; set once the first one is done."""
    over, step = threading.Event(), REACH + 11
    frame, done = some(frames, step + 1)[-1], threading.Event()

    def run() -> None:
        while not over.is_set():
            explain(gateway, long_episode, step, frame)
            done.set()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        yield done
        over.set()
        running.result(250)


def test_steps_are_taken_while_an_explanation_is_computed(
    gateway: Gateway, name: str, frames: Sequence[Frame], explaining: threading.Event
) -> None:
    taken = 0
    while not explaining.is_set():
        gateway.act(name, taken, frames[taken % len(frames)])
        taken += 1
    assert taken >= 2, "no step was taken before the explanation was complete"
