"""Where the episodes of openpi's clients begin: said by the observations, or refused; against the stand-in server."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import numpy as np
import pytest
from shelm import AsyncClient, errors
from shelm.openpi.episodes import Episodes
from support.stand_in import StandIn, frame, serving


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
async def client(stand_in: StandIn) -> AsyncIterator[AsyncClient]:
    with serving(stand_in) as target:
        async with AsyncClient(target) as client:
            yield client


def seen(number: int, **more: Any) -> dict[str, Any]:
    """An observation as openpi's programs make it."""
    return {"observation/image": frame(number), "observation/state": np.zeros(8), "prompt": "go", **more}


def lengths(stand_in: StandIn) -> list[int]:
    """Steps of each episode, in the order in which they began."""
    return [len(steps) for steps in stand_in.committed.values()]


async def test_four_episodes_that_say_reset_are_four(client: AsyncClient, stand_in: StandIn) -> None:
    episodes = Episodes(client, seeds=count(7), deterministic=True)
    for _ in range(4):
        for step in range(3):
            act = await episodes.infer(seen(step, **({"reset": True} if step == 0 else {})))
            assert act.step == step
    assert lengths(stand_in) == [3, 3, 3, 3]
    assert [(one.seed, one.deterministic) for one in stand_in.requests["CreateEpisode"]] == [
        (7, True),
        (8, True),
        (9, True),
        (10, True),
    ]
    assert len(stand_in.ended) == 3
    await episodes.end()
    assert len(stand_in.ended) == 4


@pytest.mark.parametrize("more", [{}, {"reset": False}, {"env_id": 1}, {"step": 0}])
async def test_an_episode_whose_beginning_nobody_says_is_refused(
    client: AsyncClient, stand_in: StandIn, more: dict[str, Any]
) -> None:
    episodes = Episodes(client)
    with pytest.raises(errors.InvalidArgument, match='send "reset": True in the first observation of each episode'):
        await episodes.infer(seen(0, **more))
    assert not stand_in.requests
    await episodes.infer(seen(0, reset=True))
    await episodes.infer(seen(1))
    assert lengths(stand_in) == [2]


async def test_a_connection_may_be_declared_to_be_one_episode(client: AsyncClient, stand_in: StandIn) -> None:
    for _ in range(2):
        episodes = Episodes(client, one=True)
        for step in range(3):
            await episodes.infer(seen(step))
        await episodes.end()
    assert (lengths(stand_in), len(stand_in.ended)) == ([3, 3], 2)


async def test_each_environment_of_a_connection_has_its_own_episode(client: AsyncClient, stand_in: StandIn) -> None:
    episodes = Episodes(client)
    for env_id in (0, "b"):
        await episodes.infer(seen(0, env_id=env_id, reset=True))
    await episodes.infer(seen(1, env_id="b"))
    await episodes.infer(seen(2, env_id=0, reset=True))
    await episodes.infer(seen(2, env_id="b"))
    assert lengths(stand_in) == [1, 3, 1]
    assert len(stand_in.ended) == 1
    await episodes.end()
    assert len(stand_in.ended) == 3


async def test_a_named_episode_outlives_its_connection(client: AsyncClient, stand_in: StandIn) -> None:
    for step in range(2):
        async with AsyncClient(client.target) as other:
            episodes = Episodes(other, seeds=count(5))
            assert (await episodes.infer(seen(step, episode_id=12))).step == step
            await episodes.end()
    assert [one.seed for one in stand_in.requests["CreateEpisode"]] == [5]
    assert (lengths(stand_in), stand_in.ended) == ([2], set())


async def test_a_missing_frame_is_named_by_the_keys_there_are_and_moves_nothing(
    client: AsyncClient, stand_in: StandIn
) -> None:
    episodes = Episodes(client)
    with pytest.raises(errors.InvalidArgument, match="under 'observation/image' or 'image', found the keys 'top', 'reset'"):
        await episodes.infer({"top": frame(0), "reset": True})
    with pytest.raises(errors.InvalidArgument, match="given a float32 array"):
        await episodes.infer({"image": frame(0).astype(np.float32), "reset": True})
    assert not stand_in.requests


async def test_frames_with_their_channels_first_are_taken(client: AsyncClient, stand_in: StandIn) -> None:
    await Episodes(client).infer({"image": np.moveaxis(frame(3), -1, 0), "reset": True})
    assert stand_in.requests["Act"][0].observation.data == frame(3).tobytes()
