"""A few hundred damaged files on each surface that takes files, and all that once failed: `make fuzz`, in seconds."""

import resource

import pytest
from run import run_here

INPUTS = {"images": 300, "bundles": 60, "policies": 100}


@pytest.mark.parametrize("surface", INPUTS)
def test_damaged_files_are_taken_or_refused(surface: str) -> None:
    limit = resource.getrlimit(resource.RLIMIT_AS)
    outcome = run_here(surface, 0, INPUTS[surface], 1, keep=False)
    assert outcome.failed == []
    assert resource.getrlimit(resource.RLIMIT_AS) == limit, "later tests of this process start browsers"
    assert outcome.inputs >= INPUTS[surface]
    assert outcome.taken > 0
