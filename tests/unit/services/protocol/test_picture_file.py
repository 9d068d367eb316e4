"""How large a file of one frame may be."""

import pytest

from services.protocol.picture_file import largest_file, most_parts


@pytest.mark.parametrize(("height", "width"), [(1, 1), (56, 56), (480, 640)])
def test_the_bound_grows_with_the_raw_pixels(height: int, width: int) -> None:
    assert largest_file(height, width) - largest_file(height, width - 1) == 2 * 3 * height
    assert most_parts(height) > height  # one for each row, and what stands around them
