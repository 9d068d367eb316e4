"""Counterfactual rollouts in MiniGrid, through a real server."""

from typing import Any

import pytest
from shelm import Client, Remove, errors
from shelm.gym import Transition, branch, minigrid_env, play
from support.deployment import Deployment

S11 = "MiniGrid-MemoryS11-v0"
SEED = 7


@pytest.fixture(scope="module")
def env() -> Any:
    return minigrid_env(S11)


@pytest.fixture
def source(deployment: Deployment, env: Any) -> tuple[str, float, int]:
    """An episode that was played to its end: its name, return and length."""
    seen = list[Transition]()
    with Client(deployment.target) as client:
        found = play(client, env, episodes=1, seed=SEED, deterministic=True, on_step=seen.append)
    return seen[0].act.episode_id, found.returns[0], found.lengths[0]


def test_without_edits_the_rollout_ends_as_its_source(
    deployment: Deployment, env: Any, source: tuple[str, float, int]
) -> None:
    name, total, length = source
    with Client(deployment.target) as client:
        for step in (0, 1, length - 1):
            rollout = branch(client, env, name, step, seed=SEED)
            assert (rollout.step, rollout.length, len(rollout.actions)) == (step, length, length - step)
            assert rollout.total == pytest.approx(total)
            info = client.get_episode(rollout.episode_id)
            assert info.branch is not None
            assert (info.branch.source, info.branch.step, info.ended) == (name, step, True)
            assert info.total_reward == pytest.approx(total)


def test_an_edit_is_played_on_with(deployment: Deployment, env: Any, source: tuple[str, float, int]) -> None:
    name, _, _ = source
    edits = [Remove(step=step) for step in range(4)]
    with Client(deployment.target) as client:
        rollout = branch(client, env, name, 4, edits, seed=SEED, episode_id=f"{name}:emptied")
        steps = list(client.memory(rollout.episode_id))
    assert rollout.episode_id == f"{name}:emptied"
    assert [len(step.tokens) for step in steps] == [0] * 4 + [1] * (rollout.length - 4)


def test_what_does_not_lead_back_to_the_step_is_refused_before_anything_is_created(
    deployment: Deployment, env: Any, source: tuple[str, float, int]
) -> None:
    name, _, length = source
    with Client(deployment.target) as client:
        for step, seed, field in ((3, SEED + 1, "seed"), (length, SEED, "step"), (length + 5, SEED, "step")):
            with pytest.raises(errors.InvalidArgument, match=f"^{field}: expected"):
                branch(client, env, name, step, seed=seed, episode_id=f"{name}:no")
        with pytest.raises(errors.EpisodeNotFound):
            client.get_episode(f"{name}:no")
        with pytest.raises(errors.EpisodeNotFound):
            branch(client, env, f"{name}:nobody", 1, seed=SEED)
