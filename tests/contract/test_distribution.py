"""An Act tells the distribution that its action comes from, if it is asked for, and nothing else changes."""

from collections.abc import Sequence

import numpy as np
import pytest
from shelm.v1 import agent_pb2
from support.deployment import Deployment
from support.frames import Frame, raw
from support.gateway import Gateway, act_request, play, stored

from services.store.keys import history_key

SAME = 1e-4  # of a probability that was computed in another batch


def check(answer: agent_pb2.ActResponse, actions: int) -> None:
    """The distribution is the one that the action's probability is of."""
    chances = np.array(answer.distribution.probabilities.values)
    assert len(chances) == actions
    assert chances.sum() == pytest.approx(1, abs=1e-6)
    assert np.log(chances[answer.action.discrete]) == pytest.approx(answer.log_prob, abs=1e-5)
    assert answer.distribution.entropy == pytest.approx(-(chances * np.log(chances)).sum(), abs=1e-5)


def test_the_answer_holds_the_distribution_if_it_is_asked_for(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    actions = gateway.agent().action_space.discrete
    plain = play(gateway, f"{name}:plain", frames[:6], seed=3)
    gateway.create(name, seed=3)
    for step, frame in enumerate(frames[:6]):
        answer = gateway.act(name, step, frame, distribution=True)
        check(answer, actions)
        assert not plain[step].HasField("distribution")
        assert answer.action == plain[step].action
        assert answer.log_prob == pytest.approx(plain[step].log_prob, abs=SAME)


def test_a_repeated_step_gives_the_committed_action_without_it(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    first = gateway.act(name, 0, frames[0], distribution=True)
    again = gateway.act(name, 0, frames[0], distribution=True)
    assert again.replayed
    assert not again.HasField("distribution")
    assert stored(again) == stored(first)
    request = agent_pb2.WhatIfRequest(episode_id=name, step=0, observation=raw(frames[0]))
    found = gateway.call("WhatIf", request).actual.distribution
    assert list(found.probabilities.values) == pytest.approx(list(first.distribution.probabilities.values), abs=SAME)


def test_what_is_stored_does_not_depend_on_it(deployment: Deployment, name: str, frames: Sequence[Frame]) -> None:
    deployment.gateway.act(name, 0, frames[0])
    deployment.gateway.act(f"{name}:told", 0, frames[0], distribution=True)
    with deployment.redis() as client:
        plain, told = (client.xrange(history_key(one))[0][1] for one in (name, f"{name}:told"))
    assert plain.keys() == told.keys()
    assert abs(len(plain[b"step"]) - len(told[b"step"])) <= 5, "the time of a commit has more or fewer digits"


def test_items_of_batches_and_streams_have_it_if_they_ask(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    actions = gateway.agent().action_space.discrete
    asked = [act_request(f"{name}:{i}", 0, frames[i], distribution=i % 2 == 0) for i in range(4)]
    for results in (gateway.act_batch(asked), list(gateway.act_stream(asked))):
        answers = [result.response for result in results]
        told = [i for i, answer in enumerate(answers) if answer.HasField("distribution")]
        assert told == ([] if answers[0].replayed else [0, 2])
        for answer in answers:
            if answer.HasField("distribution"):
                check(answer, actions)
    assert all(answer.replayed for answer in answers)
