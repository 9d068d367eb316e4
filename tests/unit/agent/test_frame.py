"""Frames: the fingerprint."""

import numpy as np

from agent.frame import frame_fingerprint


def test_one_pixel_or_another_shape_changes_the_fingerprint() -> None:
    frame = np.random.default_rng(0).integers(256, size=(6, 8, 3), dtype=np.uint8)
    changed = frame.copy()
    changed[3, 4, 1] ^= 1
    turned = frame.reshape(8, 6, 3)
    assert len({frame_fingerprint(one) for one in (frame, changed, turned)}) == 3


def test_the_fingerprint_tells_shapes_apart_and_ignores_memory_layout() -> None:
    flat = np.arange(2 * 3 * 3, dtype=np.uint8)
    one, other = flat.reshape(2, 3, 3), flat.reshape(3, 2, 3)
    assert len(frame_fingerprint(one)) == 16
    assert frame_fingerprint(one) != frame_fingerprint(other)
    strided = np.asfortranarray(one)
    assert frame_fingerprint(strided) == frame_fingerprint(one)
    changed = one.copy()
    changed[1, 2, 2] += 1
    assert frame_fingerprint(changed) != frame_fingerprint(one)
