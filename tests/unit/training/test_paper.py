"""The profile `paper`: every cell of the authors' configurations is what a training gets."""

import pytest

from training.paper import METHODS, TASKS, paper
from training.ppo import parse_arguments

PSYCHLAB = "shelm/ContinuousRecognition-v0"


def arguments(env: str, method: str) -> list[str]:
    return ["--profile", "paper", "--env", env, "--method", method, "--out", "runs/x"]


@pytest.mark.parametrize("env", TASKS)
@pytest.mark.parametrize("method", METHODS)
def test_every_task_and_method_is_reached_from_the_command_line(env: str, method: str) -> None:
    if env == PSYCHLAB and method in ("lstm", "cnn"):
        with pytest.raises(SystemExit):
            parse_arguments(arguments(env, method))
        return
    run = parse_arguments(arguments(env, method))
    assert run | paper(env, method) == run
    assert run["layers"] == 18
    assert run["task"] == [f"{env}:{run['num_envs']}"]
    assert run["window"] >= run["k"]


# From the authors' files, one of each kind: learning rate, entropy, rollout, window, k, steps, batch.
@pytest.mark.parametrize(
    ("env", "method", "expected"),
    [
        ("MiniGrid-MemoryS11-v0", "shelm", (5e-4, 0.005, 128, 15, 1, 2_000_000, None)),
        ("MiniGrid-KeyCorridorS3R1-v0", "shelm", (5e-5, 0.05, 32, 1021, 4, 500_000, None)),
        ("MiniWorld-PickupObjects-v0", "shelm", (5e-5, 0.001, 64, 2045, 4, 500_000, None)),
        ("MiniWorld-PutNext-v0", "helmv2", (5e-4, 0.01, 32, 255, 1, 500_000, None)),
        ("MiniGrid-Unlock-v0", "lstm", (5e-5, 0.01, 128, 32, 1, 500_000, 16 * 128)),
        ("MiniWorld-YMaze-v0", "cnn", (1e-4, 0.05, 64, 32, 1, 500_000, None)),
        (PSYCHLAB, "helm", (7e-4, 0.01, 256, 255, 1, 10_000_000, None)),
    ],
)
def test_cells_of_the_authors_configurations(env: str, method: str, expected: tuple[float | None, ...]) -> None:
    run = parse_arguments(arguments(env, method))
    names = ("learning_rate", "entropy", "rollout", "window", "k", "steps", "batch")
    assert tuple(run[name] for name in names) == expected


def test_what_all_tasks_share_is_the_authors() -> None:
    run = parse_arguments(arguments("MiniGrid-RedBlueDoors-6x6-v0", "shelm"))
    assert (run["entropy"], run["entropy_end"]) == (0.05, 1e-4)
    assert (run["gamma"], run["gae_lambda"], run["num_envs"]) == (0.99, 0.99, 16)
    assert (run["channels"], run["features"], run["kernels"]) == ([64, 128], 1024, "frame")
    assert run["actor_gain"] == pytest.approx(2**0.5)
    assert run["preprocessing"] == "reference"
    assert not any(run[name] for name in ("falling", "bootstrap", "standardise"))


def test_an_option_beats_the_profile() -> None:
    run = parse_arguments(
        [*arguments("MiniGrid-MemoryS11-v0", "shelm"), "--layers", "2", "--standardise", "--channels", "8", "16"]
    )
    assert (run["layers"], run["standardise"], run["channels"]) == (2, True, [8, 16])


def test_an_environment_that_the_authors_had_not_is_refused_with_those_that_they_had(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(arguments("MiniGrid-MemoryS7-v0", "shelm"))
    assert "the authors trained in MiniGrid-DoorKey-5x5-v0, " in capsys.readouterr().err
