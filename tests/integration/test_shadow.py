"""`shelm shadow` against a real server: nothing of the past changes, an agent does not part from itself, another does."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shelm import Client, Replace
from shelm.cli import main as shelm
from shelm.errors import FailedPrecondition, FrameNotRecorded
from shelm.gym import Transition
from shelm.shadow import shadow
from support.deployment import Deployment
from support.recordings import recorded
from support.waiting import wait_for

OWN, OTHER = "minigrid-memory", "minigrid-memory-robust"


@pytest.fixture
def name(recording: Deployment, played: list[Transition], monkeypatch: pytest.MonkeyPatch) -> str:
    """The recorded episode, of the server that `shelm` asks."""
    monkeypatch.setenv("SHELM_TARGET", recording.target)
    return played[0].act.episode_id


def state(target: str, name: str) -> tuple[Any, ...]:
    """All that a client can read: the episodes there are, and the words, actions and values of one."""
    with Client(target) as client:
        listed = sorted(client.list_episodes(), key=lambda episode: episode.episode_id)
        episodes = [replace(episode, expire_time=None) for episode in listed]  # told by the time that is left
        return episodes, [(step.step, step.tokens, step.action, step.value, step.time) for step in client.memory(name)]


def shadowed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> dict[str, Any]:
    assert shelm(["shadow", *arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_an_agent_does_not_part_from_itself(
    name: str, played: list[Transition], recording: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(recording.target, name)
    found = shadowed(capsys, "--agent", OWN, name, "--tolerance", "0", code=0)
    total = found["total"]
    assert (total["steps"], total["words_part"], total["actions_part"]) == (len(played), 0, 0)
    assert total["mean_change"] < 1e-6
    assert total["largest_value_gap"] < 1e-4, "the replayed values are those that were committed"
    assert found["episodes"][0]["parted"] == []
    assert state(recording.target, name) == before, "the past is as it was, and the shadow's episodes are gone"


def test_another_agent_parts_where_its_own_acts_on_the_same_frames_do(
    name: str, played: list[Transition], recording: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(recording.target, name)
    found = shadowed(capsys, "--agent", OTHER, name, "--tolerance", "1", code=0)
    assert state(recording.target, name) == before
    with Client(recording.target) as client:
        own, other = ([act_again(client, agent, name, step) for step in range(len(played))] for agent in (OWN, OTHER))
        for agent in (OWN, OTHER):
            client.delete_episode(f"by-hand-{agent}")
    words = [[token.text for token in act.tokens] for act in other]
    differ = [index for index, step in enumerate(played) if [token.text for token in step.act.tokens] != words[index]]
    actions = [index for index in range(len(played)) if own[index].action != other[index].action]
    (episode,) = found["episodes"]
    assert (episode["episode_id"], episode["agent"], found["agent"]) == (name, OWN, OTHER)
    assert episode["actions_part"] == len(actions)
    assert episode["words_part"] == len(differ) > 0
    assert [one["step"] for one in episode["parted"]] == sorted({*differ, *actions})
    gaps = [abs(act.value - step.act.value) for act, step in zip(other, played, strict=True)]
    assert episode["mean_value_gap"] == pytest.approx(np.mean(gaps), rel=1e-3)
    changes = [
        np.abs(np.subtract(one.distribution.probabilities, two.distribution.probabilities)).sum() / 2
        for one, two in zip(own, other, strict=True)
    ]
    assert episode["mean_change"] == pytest.approx(np.mean(changes), rel=1e-3)


def act_again(client: Client, agent: str, name: str, step: int) -> Any:
    episode_id = f"by-hand-{agent}"
    if step == 0:
        client.create_episode(episode_id, agent=agent, seed=3, deterministic=True)
    return client.act(client.frame(name, step), episode_id, distribution=True)


def test_the_command_fails_beyond_the_tolerance_and_shows_why(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = shadowed(capsys, "--agent", OTHER, name, "--tolerance", "1", code=0)["total"]
    share = found["actions_part"] / found["steps"]
    assert share > 0
    assert shelm(["shadow", "--agent", OTHER, name, "--tolerance", str(share)]) == 0
    capsys.readouterr()
    assert shelm(["shadow", "--agent", OTHER, name, "--tolerance", str(share - 0.001)]) == 1
    printed, message = capsys.readouterr()
    assert f"{found['actions_part']} ({share:.0%})" in printed
    assert f"{share:.1%} of the most probable actions part" in message


def test_the_last_episodes_are_those_of_other_agents_and_those_without_frames_are_named(
    name: str, played: list[Transition], recording: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(recording.target) as client:
        frame = client.frame(name, 0)
        client.branch_episode("an:edited-branch", name, 1, [Replace(played[0].act.tokens[0].text, "ball", 0)])
        client.end_episode("an:edited-branch")
        for episode_id, agent in (("without-frame", OWN), ("of-the-other", OTHER)):
            with client.episode(episode_id, agent=agent) as episode:
                episode.act(frame)
            wait_for("the frame is recorded", partial(recorded, client, episode_id, 0), seconds=30)
        next(Path(recording.settings["SHELM_RECORD"]).rglob("without-frame/0.png")).unlink()
        before = state(recording.target, name)
        found = shadowed(capsys, "--agent", OTHER, "--last", "1", "--tolerance", "1", code=0)
        assert [one["episode_id"] for one in found["episodes"]] == [name]
        assert [one["episode_id"] for one in found["skipped"]] == ["without-frame", "an:edited-branch"]
        with pytest.raises(FrameNotRecorded):
            shadow(client, "without-frame", OTHER)
        with pytest.raises(FailedPrecondition, match="edited words"):
            shadow(client, "an:edited-branch", OTHER)
        assert state(recording.target, name) == before, "nothing is left, also after an error"
        for episode_id in ("without-frame", "of-the-other", "an:edited-branch"):
            client.delete_episode(episode_id)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--agent", OTHER], "--last N"),
        (["--agent", "nobody", "@last"], "nobody"),
        (["--agent", OTHER, "no-such"], "no-such"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    arguments: list[str], message: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shelm(["shadow", *arguments]) == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)
