"""The actor-critic: the paper's sizes (docs/paper.md#trainable), and actions that depend on nothing but their episode."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from agent.bundle import PolicyPart
from agent.policy.actor_critic import ActorCritic, PolicyEngine, _load
from agent.policy.heads import choose_action, log_softmax

PAPER = PolicyPart(weights="policy.safetensors")
SMALL = PolicyPart(weights="policy.safetensors", channels=(4, 8), features=16, actor_hidden=8, critic_hidden=8)
Logits = NDArray[np.float32]


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def actor_critic(shape: PolicyPart = SMALL, *, height: int = 56, width: int = 56, memory: int = 12) -> ActorCritic:
    torch.manual_seed(0)
    return ActorCritic(shape, height=height, width=width, memory=memory, actions=7)


def feature_maps(model: ActorCritic, height: int, width: int) -> list[tuple[int, int]]:
    """Height and width of what each convolution gives."""
    sides: list[tuple[int, int]] = []
    for module in model.cnn.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _module, _given, out: sides.append((out.shape[2], out.shape[3])))
    model.encode(torch.zeros(1, 3, height, width, dtype=torch.uint8))
    return sides


def test_the_sizes_are_the_papers() -> None:
    model = actor_critic(PAPER, memory=1024)
    cnn, actor, critic = parameters(model.cnn), parameters(model.actor), parameters(model.critic)
    assert cnn == 64 * (3 * 8 * 8 + 1) + 128 * (64 * 4 * 4 + 1) + 1024 * (3200 + 1)
    assert actor == 128 * (2048 + 1) + 7 * (128 + 1)
    assert critic == 512 * (2048 + 1) + (512 + 1)
    assert [round(count / 1e6, 2) for count in (cnn, actor, critic)] == [3.42, 0.26, 1.05]
    assert parameters(model) == cnn + actor + critic
    assert round(parameters(model) / 1e6, 2) == 4.73


@pytest.mark.parametrize(
    ("height", "width", "first", "second", "flat"),
    [
        (56, 56, (13, 13), (5, 5), 3200),
        (60, 80, (14, 19), (6, 8), 6144),
        (80, 80, (19, 19), (8, 8), 8192),
        (9, 9, (3, 3), (2, 2), 512),  # both kernels shrink
        (9, 30, (3, 14), (2, 13), 3328),  # the shorter side decides
        (40, 40, (9, 9), (8, 8), 8192),  # the first map is small: only the second kernel shrinks
        (44, 44, (10, 10), (4, 4), 2048),
    ],
)
def test_feature_maps_are_the_papers(
    height: int, width: int, first: tuple[int, int], second: tuple[int, int], flat: int
) -> None:
    model = actor_critic(PAPER, height=height, width=width)
    assert feature_maps(model, height, width) == [first, second]
    assert model.cnn[1].in_features == flat


def test_the_second_kernel_can_follow_the_frame_as_the_authors_does() -> None:
    theirs = PAPER.model_copy(update={"kernels": "frame"})
    assert feature_maps(actor_critic(theirs, height=40, width=40), 40, 40) == [(9, 9), (3, 3)]
    assert feature_maps(actor_critic(theirs), 56, 56) == feature_maps(actor_critic(PAPER), 56, 56)
    with pytest.raises(ValueError, match="a frame with a side of 18 pixels leaves 3 for a kernel of 4"):
        actor_critic(theirs, height=18, width=18)


def test_initial_weights_are_the_papers() -> None:
    model = actor_critic(PAPER, memory=1024)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
    for layer in (model.actor[0], model.actor[-1], model.critic[0], model.critic[-1]):
        assert isinstance(layer, nn.Linear)
        rows = layer.weight @ layer.weight.T
        assert torch.allclose(rows, 2 * torch.eye(len(rows)), atol=1e-4), "orthogonal with gain sqrt(2)"
    linear = model.cnn[1]
    assert isinstance(linear, nn.Linear)
    bound = (2 * 6 / (linear.in_features + linear.out_features)) ** 0.5  # Xavier uniform with gain sqrt(2)
    assert 0.99 * bound < linear.weight.abs().max().item() <= bound


def test_the_gain_of_the_actors_output_can_be_lowered() -> None:
    model = ActorCritic(SMALL, height=56, width=56, memory=12, actions=7, output_gain=0.01)
    last = model.actor[-1]
    assert isinstance(last, nn.Linear)
    assert torch.allclose(last.weight @ last.weight.T, 1e-4 * torch.eye(7), atol=1e-8)


def test_standardisation_defaults_to_the_papers_plain_concatenation() -> None:
    model = actor_critic()
    features, memory = torch.randn(3, 16), 100 * torch.randn(3, 12)
    logits, values = model.decide(features, memory)
    joint = torch.cat([features, memory], dim=1)
    assert torch.equal(logits, model.actor(joint))
    assert torch.equal(values, model.critic(joint)[:, 0])


def test_standardisation_is_per_feature_and_stored_with_the_weights() -> None:
    model, memory = actor_critic(), torch.randn(3, 12)
    model.memory_mean.copy_(torch.arange(12.0))
    model.memory_scale.fill_(0.5)
    other = actor_critic()
    other.load_state_dict(model.state_dict())
    expected = actor_critic().decide(torch.ones(3, 16), (memory - torch.arange(12.0)) / 2)
    for actual, wanted in zip(other.decide(torch.ones(3, 16), memory), expected, strict=True):
        assert torch.allclose(actual, wanted, atol=1e-6)


def test_a_frame_is_scaled_to_0_and_1() -> None:
    model = actor_critic()
    given_frames: list[Tensor] = []
    model.cnn.register_forward_pre_hook(lambda _module, args: given_frames.append(args[0]))
    model.encode(torch.full((1, 3, 56, 56), 255, dtype=torch.uint8))
    assert torch.equal(given_frames[0], torch.ones(1, 3, 56, 56))


def test_rows_of_a_batch_do_not_influence_each_other() -> None:
    """Nor does the company change the answer by more than rounding."""
    engine = PolicyEngine(actor_critic().eval(), "cpu")
    draw = np.random.default_rng(0)
    frames = [draw.integers(256, size=(56, 56, 3), dtype=np.uint8) for _ in range(5)]
    memories = [draw.standard_normal(12, np.float32) for _ in range(5)]
    together = engine.decide(list(zip(engine.encode(frames), memories, strict=True)))
    for frame, memory, (logits, value) in zip(frames, memories, together, strict=True):
        [(alone, alone_value)] = engine.decide([(engine.encode([frame])[0], memory)])
        assert np.allclose(logits, alone, atol=1e-5)
        assert value == pytest.approx(alone_value, abs=1e-5)
    assert len({logits.tobytes() for logits, _ in together}) == 5


@settings(deadline=None)
@given(batch=arrays.arrays(np.float32, (4, 7), elements=st.floats(-50, 50, width=32), unique=True))
def test_the_most_probable_action_is_per_row(batch: Logits) -> None:
    """The reference code took it over the flattened batch (docs/paper.md#q2)."""
    actions = [choose_action(row, seed=1, step=2, deterministic=True)[0] for row in batch]
    assert actions == batch.argmax(axis=1).tolist()


@settings(deadline=None)
@given(logits=arrays.arrays(np.float32, 7, elements=st.floats(-1000, 1000, width=32)), flag=st.booleans())
def test_the_log_probability_is_that_of_the_chosen_action(logits: Logits, flag: bool) -> None:
    action, log_prob = choose_action(logits, seed=3, step=4, deterministic=flag)
    expected = torch.log_softmax(torch.from_numpy(logits).double(), 0)
    assert log_prob == pytest.approx(float(expected[action]), abs=1e-9)
    assert np.exp(log_softmax(logits)).sum() == pytest.approx(1)


def drawn(logits: Logits, steps: int, seed: int = 7) -> list[int]:
    return [choose_action(logits, seed=seed, step=step, deterministic=False)[0] for step in range(steps)]


def test_drawn_actions_are_as_frequent_as_the_softmax_says() -> None:
    logits, steps = np.array([0.0, 1.0, -1.0, 2.0, 0.5, -2.0, 0.0], np.float32), 20_000
    expected = steps * np.exp(log_softmax(logits))
    observed = np.bincount(drawn(logits, steps), minlength=7)
    chi_square = float(((observed - expected) ** 2 / expected).sum())
    assert chi_square < 22.46, "6 degrees of freedom, one in a thousand; the draws are seeded, so this cannot flicker"


def test_neighbouring_seeds_draw_independently() -> None:
    logits, steps = np.zeros(2, np.float32), 2_000
    one, other = np.array(drawn(logits, steps, seed=1)), np.array(drawn(logits, steps, seed=2))
    assert abs(float((one == other).mean()) - 0.5) < 0.05


def test_an_action_depends_on_logits_seed_and_step_alone() -> None:
    logits = np.linspace(-1, 1, 7, dtype=np.float32)
    expected = drawn(logits, 50)
    assert drawn(logits, 50) == expected
    assert drawn(logits, 50, seed=8) != expected
    assert drawn(logits[::-1].copy(), 50) != expected
    backwards = [choose_action(logits, seed=7, step=step, deterministic=False)[0] for step in reversed(range(50))]
    assert backwards == expected[::-1]
    assert len(set(expected)) > 2


def process_wide() -> tuple[Any, ...]:
    return random.getstate(), repr(np.random.get_state()), torch.get_rng_state().numpy().tobytes()


def test_process_wide_generators_neither_influence_an_action_nor_are_touched() -> None:
    logits, seen = np.zeros(7, np.float32), []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        before = process_wide()
        seen.append(drawn(logits, 30))
        assert process_wide() == before
    assert seen[0] == seen[1]


def test_an_impossible_action_is_never_drawn() -> None:
    logits = np.array([-np.inf, 0, -np.inf, 0, -np.inf], np.float32)
    assert set(drawn(logits, 500)) == {1, 3}


def test_the_largest_seed_and_step_draw_too() -> None:
    action, log_prob = choose_action(np.zeros(7, np.float32), seed=2**63 - 1, step=2**53 - 1, deterministic=False)
    assert 0 <= action < 7
    assert log_prob == pytest.approx(np.log(1 / 7))


def test_weights_that_do_not_fit_are_refused_with_their_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    save_file(actor_critic(memory=13).state_dict(), path)
    with pytest.raises(ValueError, match=r"(?s)policy weights .*policy\.safetensors: .*memory_mean"):
        _load(actor_critic(), path)
