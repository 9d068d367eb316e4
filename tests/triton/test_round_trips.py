"""An Act in round trips, as the servers count them: with the whole Act in Triton, and with the models in parts."""

import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
import tritonclient.grpc as tritongrpc
from shelm import Client
from shelm.gym import minigrid_env, play
from support.deployment import BehindTriton, Deployment, Standalone
from support.frames import Frame
from support.process import REPOSITORY
from support.scrape import metrics_setting, scrape

pytestmark = [
    pytest.mark.skipif(not (REPOSITORY / ".triton/bin/python").exists(), reason="needs `make triton-setup`"),
    pytest.mark.timeout(600),
]
TASK = "MiniGrid-MemoryS11-v0"
Trips = dict[str, float]


def requests(behind: BehindTriton) -> Trips:
    """Those that Triton has had so far; it counts a request a moment after it has answered it."""
    time.sleep(1)
    with tritongrpc.InferenceServerClient(behind.triton.target) as triton:
        stats = triton.get_inference_statistics().model_stats
    return {"triton": sum(one.inference_count for one in stats)}


def calls(behind: BehindTriton) -> Trips:
    """Those that policy has made so far. Where it uses slots in Triton, it asks Triton for their counts meanwhile."""
    queues = {"retrieval": "retrieval call", "memory": "memory call", "redis": "commit"}
    policy = scrape(behind.metrics["policy"])
    return {name: policy.value("shelm_run_seconds_count", queue=queue) for name, queue in queues.items()}


@pytest.mark.usefixtures("_no_settings")
@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("act", {"policy": 1, "triton": 1, "redis": 1, "retrieval": 0, "memory": 0}),
        ("parts", {"policy": 1, "triton": 3, "redis": 1, "retrieval": 1, "memory": 1}),
    ],
)
def test_an_act_makes_three_round_trips_in_place_of_seven(
    tmp_path: Path, frames: Sequence[Frame], models: str, expected: Trips
) -> None:
    settings = {"SHELM_TRITON_MODELS": models, "SHELM_METRICS_LISTEN": metrics_setting()}
    with BehindTriton(tmp_path, settings).running() as behind, Client(behind.target, retry_for=0) as client:
        assert isinstance(behind, BehindTriton)
        client.act(frames[0], name := f"counted:{uuid.uuid4().hex}")
        before = calls(behind) | requests(behind)
        for frame in frames[1:9]:  # of which policy has seen none
            client.act(frame, name)
        after = requests(behind) | calls(behind)
        there = transcript(behind)
    assert {"policy": 1, **{server: (after[server] - before[server]) / 8 for server in after}} == expected
    with Standalone(tmp_path).running() as local:
        assert transcript(local) == there


def transcript(deployment: Deployment) -> list[tuple[object, ...]]:
    """Words, actions and rewards of the demo."""
    seen: list[tuple[object, ...]] = []
    with Client(deployment.target, retry_for=120) as client:
        play(
            client,
            minigrid_env(TASK),
            episodes=3,
            seed=0,
            on_step=lambda step: seen.append((*(token.text for token in step.act.tokens), step.act.action, step.reward)),
        )
    return seen
