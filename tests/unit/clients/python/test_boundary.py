"""What environments and loops hand over, in the forms in which they are found: all mean the same, or are refused."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shelm import errors
from shelm.boundary import as_flag, as_flags, as_frame, as_frames, as_info, as_reward, frame_of, info_of, is_single

FRAME = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
FIRST = np.moveaxis(FRAME, -1, 0)  # channels first


class Lazy:
    """As JAX's arrays and LazyFrames do, it becomes an array when it is asked to."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self._array, dtype)


@pytest.mark.parametrize(
    "given",
    [
        FRAME,
        FIRST,
        Lazy(FRAME),
        Lazy(FIRST),
        torch.from_numpy(FRAME),
        torch.from_numpy(FIRST.copy()),
        Image.fromarray(FRAME),
    ],
    ids=["array", "channels first", "lazy", "lazy channels first", "tensor", "tensor channels first", "picture"],
)
def test_a_frame_is_the_same_in_every_form(given: Any) -> None:
    assert np.array_equal(as_frame(given), FRAME)
    assert is_single(given)


@pytest.mark.parametrize("height", [3, 1, 64])
def test_a_frame_that_can_be_read_with_its_channels_last_is_read_so(height: int) -> None:
    frame = np.arange(height * 5 * 3, dtype=np.uint8).reshape(height, 5, 3)
    assert as_frame(frame) is frame
    square = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    assert as_frame(square) is square


@pytest.mark.parametrize("given", [np.stack([FRAME, FRAME]), np.stack([FIRST, FIRST]), [Lazy(FRAME)] * 2, (FRAME, FRAME)])
def test_frames_of_several_environments_are_the_same_in_every_form(given: Any) -> None:
    frames = as_frames({"image": given, "mission": ("go", "go")})
    assert np.array_equal(frames, np.stack([FRAME, FRAME]))
    assert not is_single(given)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (FRAME / np.float32(255), "uint8, 0..255"),
        (np.zeros((4, 5, 12), np.uint8), "the agent has a memory"),
        (np.zeros((4, 8, 5, 3), np.uint8), "the agent has a memory"),
        (np.zeros((4, 5, 4), np.uint8), r"given a uint8 array of shape \(4, 5, 4\)"),
        (np.zeros((0, 5, 3), np.uint8), "given a uint8 array"),
        (None, "given a NoneType"),
        ("frame", "given a str"),
        ({"a": 1}, "a mapping with the keys 'a'"),
    ],
)
def test_what_is_no_frame_is_refused_with_what_was_given(given: Any, says: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=says):
        as_frame(given)


def test_a_frame_is_found_in_a_mapping_by_its_key_or_because_it_is_the_only_one() -> None:
    other = np.zeros((9, 9, 3), np.uint8)
    assert frame_of({"camera": other, "image": FRAME}) is FRAME
    assert frame_of({"pixels": {"top": FRAME}, "agent_pos": np.zeros(3)}) is FRAME
    assert frame_of({"camera": FRAME, "mission": "go", "direction": 3}) is FRAME
    for unclear in ({"left": FRAME, "right": other}, {"mission": "go"}):
        with pytest.raises(errors.InvalidArgument, match="found the keys " + ", ".join(map(repr, unclear))):
            frame_of(unclear)


@pytest.mark.parametrize(
    "given", [1, 1.0, True, np.float32(1), np.array(1), np.array([1.0]), [1], torch.tensor(1.0), Lazy([1])]
)
def test_a_reward_is_one_number_in_every_form(given: Any) -> None:
    assert (as_reward(given), type(as_reward(given))) == (1.0, float)
    assert as_flag(given) is True


@pytest.mark.parametrize("given", [None, "1", float("nan"), np.inf, [1, 2], np.zeros(0), {"reward": 1}])
def test_what_is_not_one_finite_number_is_no_reward(given: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="reward: expected one finite number"):
        as_reward(given)


@pytest.mark.parametrize(
    "given", [[True, False], (1, 0), np.array([[True], [False]]), torch.tensor([True, False]), Lazy([True, False])]
)
def test_flags_are_one_for_each_environment_in_every_form(given: Any) -> None:
    assert as_flags(given, 2).tolist() == [True, False]
    with pytest.raises(errors.InvalidArgument, match="expected 3 of True or False"):
        as_flags(given, 3)


INFOS: dict[Any, Any] = {
    "array": np.array([1, 2]),
    "list": [1, 2],
    "tensor": torch.tensor([1, 2]),
    "scalar": 7,
    "none": None,
    "text": "go",  # as long as there are environments
    "texts": np.array(["go", "no"], dtype=object),
    "one": np.array(3),
    "longer": [1, 2, 3],
    "vectors": np.array([[1, 2, 3], [4, 5, 6]]),
    "only second": np.array([0, 9]),
    "_only second": np.array([False, True]),
    "_private": 5,
    3: "three",
    ("pair",): [8, 9],
    "episode": {"r": np.array([0.5, 1.5]), "_r": np.array([True, False]), "l": 4},
}


def test_the_infos_of_a_vector_are_told_apart_whatever_they_hold() -> None:
    first, second = (info_of(INFOS, index, 2) for index in range(2))
    assert list(first.pop("vectors")) == [1, 2, 3]
    assert list(second.pop("vectors")) == [4, 5, 6]
    shared = {"scalar": 7, "none": None, "text": "go", "one": 3, "longer": [1, 2, 3], "_private": 5, 3: "three"}
    parts = {"array": 1, "list": 1, "tensor": 1, "texts": "go", ("pair",): 8, "episode": {"r": 0.5, "l": 4}}
    assert first == shared | parts
    parts = {"array": 2, "list": 2, "tensor": 2, "texts": "no", ("pair",): 9, "episode": {"l": 4}, "only second": 9}
    assert second == shared | parts


def test_infos_may_be_a_list_of_dicts_or_none() -> None:
    assert [info_of([{"a": 1}, {}], index, 2) for index in range(2)] == [{"a": 1}, {}]
    assert (as_info(None), as_info({"a": 1}), as_info("text")) == ({}, {"a": 1}, {"info": "text"})
