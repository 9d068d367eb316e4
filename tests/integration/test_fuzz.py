"""A few hundred damaged files on each surface that takes files, and all that once failed: `make fuzz`, in seconds."""

import pytest
from run import run_stream

INPUTS = {"images": 300, "bundles": 60, "policies": 100}


@pytest.mark.parametrize("surface", INPUTS)
def test_damaged_files_are_taken_or_refused(surface: str) -> None:
    outcome = run_stream(surface, 0, INPUTS[surface], 0, 1, keep=False)
    assert outcome.failed == []
    assert outcome.inputs >= INPUTS[surface]
    assert outcome.taken > 0
