"""RemotePolicy where loops say, or do not say, that an episode goes on; against the stand-in server."""

import warnings

import grpc
import numpy as np
import pytest
from shelm import Client, RemotePolicy, errors
from shelm.policy import ForgetfulLoop
from support.stand_in import Failure, StandIn, frame


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("goes_on", [None, False])
def test_a_loop_without_state_is_warned_once_and_leaves_nothing_running(
    client: Client, stand_in: StandIn, count: int, goes_on: bool | None
) -> None:
    batch = np.stack([frame(number) for number in range(count)])
    start = None if goes_on is None else np.ones(count, bool)
    with RemotePolicy(client) as policy, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(4):
            _, state = policy.predict(batch, episode_start=start)
            start = None if goes_on is None else np.zeros(count, bool)
        assert [(one.category, one.filename) for one in told] == [(ForgetfulLoop, __file__)]
        assert "give the state back" in str(told[0].message)
        assert set(stand_in.committed) - stand_in.ended == set(state[0].tolist())
    assert len(stand_in.committed) == len(stand_in.ended) == 4 * count


def test_a_call_that_failed_may_be_repeated_without_a_warning(client: Client, stand_in: StandIn) -> None:
    stand_in.item_failures = {0: Failure(grpc.StatusCode.INTERNAL, "INTERNAL")}
    with warnings.catch_warnings(), RemotePolicy(client) as policy:
        warnings.simplefilter("error")
        with pytest.raises(errors.ShelmError, match="INTERNAL"):
            policy.predict(frame(0))
        policy.predict(frame(0))
    assert set(stand_in.committed) == stand_in.ended


def test_loops_that_say_where_episodes_begin_are_not_warned(client: Client, stand_in: StandIn) -> None:
    with warnings.catch_warnings(), RemotePolicy(client) as policy:
        warnings.simplefilter("error")
        for _ in range(2):  # evaluate_policy, twice on the same policy
            state, start = None, np.ones(2, bool)
            for _ in range(3):
                _, state = policy.predict(np.stack([frame(0), frame(1)]), state, start)
                start = np.array([False, True])
        _, one = policy.predict(frame(0), episode_start=np.array([True]))  # two environments, in turn
        _, other = policy.predict(frame(1), episode_start=np.array([True]))
        for _ in range(2):
            _, one = policy.predict(frame(0), one)
            _, other = policy.predict(frame(1), other)
    lengths = sorted(map(len, stand_in.committed.values()))
    assert lengths == [1, 1, 1, 1, 1, 1, 3, 3, 3, 3]
