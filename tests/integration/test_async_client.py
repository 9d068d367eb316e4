"""The asyncio client against the real services: the same words and actions as the sync client."""

import asyncio
import uuid
from collections.abc import Sequence

import pytest
from shelm import Act, AsyncClient, Client, errors
from support.deployment import Deployment
from support.frames import Frame

STEPS = 12


def told(acts: Sequence[Act]) -> list[tuple[list[str], object]]:
    """Words and actions."""
    return [([token.text for token in act.tokens], act.action) for act in acts]


def fresh() -> str:
    """A name that no other episode has."""
    return f"test:{uuid.uuid4().hex}"


async def test_both_clients_get_the_same_words_actions_and_explanations(
    deployment: Deployment, frames: Sequence[Frame]
) -> None:
    mine, theirs = fresh(), fresh()
    with Client(deployment.target) as client:
        client.create_episode(mine, seed=3)
        sync = [client.act(frame, mine) for frame in frames[:STEPS]]
        explained = client.explain(mine, STEPS - 1, frames[STEPS - 1])
    async with AsyncClient(deployment.target) as other:
        await other.create_episode(theirs, seed=3)
        acts = [await other.act(frame, theirs) for frame in frames[:STEPS]]
        also = await other.explain(theirs, STEPS - 1, frames[STEPS - 1])
        remembered = [step async for step in other.memory(theirs)]
        agent = await other.agent()
        assert [one.digest for one in await other.agents()][:1] == [agent.digest]
        assert (await other.end_episode(theirs, total_reward=-1.5)).total_reward == -1.5
        watched = [step async for step in other.watch_memory(theirs)]
        assert theirs in {episode.episode_id async for episode in other.list_episodes()}
        with pytest.raises(errors.EpisodeEnded):
            await other.act(frames[0], theirs, step=STEPS)
        with pytest.raises(errors.RecordingOff):
            await other.frame(theirs, 0)
    assert told(acts) == told(sync)
    assert [act.value for act in acts] == pytest.approx([act.value for act in sync], abs=1e-4)
    assert [step.action for step in remembered] == [step.action for step in watched] == [act.action for act in acts]
    influences = [([token.text for token in one.tokens], one.steps) for one in explained.words]
    assert sorted(influences) == sorted(([token.text for token in one.tokens], one.steps) for one in also.words)


async def test_many_episodes_at_once_are_each_in_order(deployment: Deployment, frames: Sequence[Frame]) -> None:
    async def episode(client: AsyncClient, seed: int) -> tuple[str, list[Act]]:
        async with client.episode(fresh(), seed=seed) as running:
            acts = await asyncio.gather(*(running.act(frame) for frame in frames[:STEPS]))  # asked for all at once
            return running.episode_id, list(acts)

    async with AsyncClient(deployment.target) as client:
        played = await asyncio.gather(*(episode(client, seed) for seed in (1, 2, 3, 1)))
        for name, acts in played:
            assert [act.step for act in acts] == list(range(STEPS))
            assert [step.step async for step in client.memory(name)] == list(range(STEPS))
    assert [act.action for act in played[0][1]] == [act.action for act in played[3][1]]  # the same seed


async def test_a_cancelled_act_is_repeated_without_a_second_memory_entry(
    deployment: Deployment, name: str, frames: Sequence[Frame]
) -> None:
    async with AsyncClient(deployment.target) as client:
        cancelled = 0
        for step, frame in enumerate(frames[:6]):
            task = asyncio.create_task(client.act(frame, name))
            await asyncio.sleep(0.002 * step)  # at another point of its way each time
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            cancelled += isinstance(outcome, asyncio.CancelledError)  # on a busy machine it may have been quicker
            assert (await client.act(frame, name, step=step)).step == step
        assert cancelled
        assert [step.step async for step in client.memory(name)] == list(range(6))


async def test_a_batch_of_both_clients_is_the_same(deployment: Deployment, frames: Sequence[Frame]) -> None:
    names = [fresh() for _ in range(3)]
    async with AsyncClient(deployment.target) as client:
        first = await client.act_batch(dict(zip(names, frames, strict=False)))
    with Client(deployment.target) as sync:
        again = sync.act_batch(dict(zip(names, frames, strict=False)))  # a new client repeats step 0
    for name in names:
        one, other = first[name], again[name]
        assert isinstance(one, Act)
        assert isinstance(other, Act)
        assert other.replayed
        assert told([one]) == told([other])
