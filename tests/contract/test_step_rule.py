"""The step rule (docs/architecture.md#step-rule), row by row: a retry is answered as before, nothing is remembered twice."""

import time
from collections.abc import Sequence

import pytest
from support.deployment import Deployment
from support.errors import Code, refused
from support.frames import Frame, file_bytes, jpeg, png
from support.gateway import Gateway, lines, play, stored

RETAINED = 64  # SHELM_RETAINED_STEPS of the cramped server
TTL = 10.0  # SHELM_EPISODE_TTL of the cramped server, in seconds


def test_the_next_step_is_computed_committed_and_returned(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    agent = gateway.agent()
    for step, frame in enumerate(frames[:3]):
        answer = gateway.act(name, step, frame)
        assert (answer.episode_id, answer.step, answer.committed_step, answer.replayed) == (name, step, step, False)
        assert len(answer.tokens) == agent.tokens_per_step
        assert (answer.memory.length, answer.memory.window) == ((step + 1) * agent.tokens_per_step, agent.window)
        assert answer.agent_digest == agent.digest
        assert 0 <= answer.action.discrete < agent.action_space.discrete
        assert answer.log_prob <= 0
        assert answer.timing.total_us > 0
        memory = gateway.memory(name)
        assert [one.step for one in memory] == list(range(step + 1))
        assert lines(memory[-1:]) == lines([answer])
        assert gateway.episode(name).committed_step == step


def test_a_committed_step_with_the_same_frame_gives_the_stored_answer(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    first = play(gateway, name, frames[:5])
    memory = gateway.memory(name)
    for step, frame in enumerate(frames[:5]):
        again = gateway.act(name, step, frame)
        assert (again.replayed, again.committed_step, again.HasField("timing")) == (True, 4, False)
        assert stored(again) == stored(first[step])
    assert gateway.memory(name) == memory


def test_a_frame_is_the_same_frame_raw_and_as_png(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    as_pixels = gateway.act(name, 0, frames[0])
    as_file = gateway.act(name, 0, png(frames[0]))
    assert (as_file.replayed, stored(as_file)) == (True, stored(as_pixels))
    gateway.act(name, 1, png(frames[1]))
    assert gateway.act(name, 1, frames[1]).replayed
    assert len(gateway.memory(name)) == 2


def test_a_jpeg_acts_and_its_retry_is_the_same_frame(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    image = jpeg(frames[0])
    assert image.data == file_bytes(frames[0], "JPEG")
    first, again = gateway.act(name, 0, image), gateway.act(name, 0, image)
    assert (first.replayed, again.replayed, stored(again)) == (False, True, stored(first))
    assert len(gateway.memory(name)) == 1


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_committed_step_with_another_frame_is_aborted_and_changes_nothing(
    gateway: Gateway, name: str, frames: Sequence[Frame], step: int
) -> None:
    play(gateway, name, frames[:3])
    memory, episode = gateway.memory(name), gateway.episode(name)
    refusal = refused(lambda: gateway.act(name, step, frames[10]))
    assert refusal.kind == (Code.ABORTED, "STEP_CONFLICT")
    assert refusal.metadata == {"episode_id": name, "committed_step": "2"}
    assert gateway.memory(name) == memory
    assert gateway.episode(name).update_time == episode.update_time
    assert gateway.act(name, step, frames[step]).replayed
    assert not gateway.act(name, 3, frames[3]).replayed


@pytest.mark.parametrize("step", [4, 5, 1000, 2**53 - 1])
def test_a_step_beyond_the_next_one_is_refused_with_the_committed_step(
    gateway: Gateway, name: str, frames: Sequence[Frame], step: int
) -> None:
    play(gateway, name, frames[:3])
    refusal = refused(lambda: gateway.act(name, step, frames[3]))
    assert refusal.kind == (Code.FAILED_PRECONDITION, "STEP_GAP")
    assert refusal.metadata["committed_step"] == "2"
    assert len(gateway.memory(name)) == 3
    assert gateway.act(name, int(refusal.metadata["committed_step"]) + 1, frames[3]).step == 3


def test_a_step_beyond_0_of_a_created_episode_is_a_gap_after_step_minus_1(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    gateway.create(name)
    refusal = refused(lambda: gateway.act(name, 1, frames[0]))
    assert (refusal.kind, refusal.metadata["committed_step"]) == ((Code.FAILED_PRECONDITION, "STEP_GAP"), "-1")


def test_a_later_step_of_an_unknown_episode_is_not_found_and_begins_none(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    refusal = refused(lambda: gateway.act(name, 1, frames[0]))
    assert (refusal.kind, refusal.metadata["episode_id"]) == ((Code.NOT_FOUND, "EPISODE_NOT_FOUND"), name)
    assert refused(lambda: gateway.episode(name)).kind == (Code.NOT_FOUND, "EPISODE_NOT_FOUND")


def test_a_step_older_than_retained_is_out_of_range(cramped: Deployment, name: str, frames: Sequence[Frame]) -> None:
    gateway, steps = cramped.gateway, RETAINED + 6
    answers = play(gateway, name, frames[:steps])
    kept = gateway.memory(name)
    assert [one.step for one in kept] == list(range(steps - RETAINED, steps))
    for step in (0, steps - RETAINED - 1):
        refusal = refused(lambda step=step: gateway.act(name, step, frames[step]))  # type: ignore[misc]
        assert refusal.kind == (Code.OUT_OF_RANGE, "STEP_TOO_OLD")
        assert refusal.metadata["committed_step"] == str(steps - 1)
    oldest = gateway.act(name, steps - RETAINED, frames[steps - RETAINED])
    assert (oldest.replayed, stored(oldest)) == (True, stored(answers[steps - RETAINED]))
    assert gateway.memory(name) == kept
    assert gateway.act(name, steps, frames[steps]).memory.length == steps + 1


def test_an_expired_episode_is_not_found_until_step_0_begins_a_new_one(
    cramped: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    gateway = cramped.gateway
    play(gateway, name, frames[:2])
    time.sleep(TTL + 0.5)
    assert refused(lambda: gateway.act(name, 2, frames[2])).kind == (Code.NOT_FOUND, "EPISODE_NOT_FOUND")
    assert refused(lambda: gateway.memory(name)).kind == (Code.NOT_FOUND, "EPISODE_NOT_FOUND")
    again = gateway.act(name, 0, frames[5])
    assert (again.replayed, again.memory.length) == (False, 1)
    assert len(gateway.memory(name)) == 1


def test_a_step_puts_the_end_of_the_episode_off(cramped: Deployment, name: str, frames: Sequence[Frame]) -> None:
    gateway = cramped.gateway
    first = gateway.act(name, 0, frames[0])
    expires = gateway.episode(name).expire_time.ToMicroseconds()
    time.sleep(1)
    gateway.act(name, 1, frames[1])
    assert gateway.episode(name).expire_time.ToMicroseconds() - expires > 500_000
    assert first.step == 0


def test_an_ended_episode_replays_its_steps_and_takes_no_other(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    answers = play(gateway, name, frames[:3])
    gateway.end(name)
    again = gateway.act(name, 2, frames[2])
    assert (again.replayed, stored(again)) == (True, stored(answers[2]))
    assert refused(lambda: gateway.act(name, 2, frames[3])).kind == (Code.ABORTED, "STEP_CONFLICT")
    refusal = refused(lambda: gateway.act(name, 3, frames[3]))
    assert (refusal.kind, refusal.metadata["committed_step"]) == ((Code.FAILED_PRECONDITION, "EPISODE_ENDED"), "2")
    assert len(gateway.memory(name)) == 3


def test_an_episode_keeps_the_agent_it_began_with(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    agent = gateway.agent()
    gateway.act(name, 0, frames[0], agent=agent.name)
    assert not gateway.act(name, 1, frames[1], agent=agent.digest).replayed
    refusal = refused(lambda: gateway.act(name, 2, frames[2], agent="another"))
    assert refusal.kind == (Code.FAILED_PRECONDITION, "AGENT_MISMATCH")
    assert len(gateway.memory(name)) == 2


def test_step_0_decides_whether_actions_are_drawn_and_later_steps_only_for_themselves(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    gateway.act(name, 0, frames[0], deterministic=True)
    assert gateway.episode(name).deterministic
    gateway.act(name, 1, frames[1], deterministic=False)
    assert gateway.episode(name).deterministic
