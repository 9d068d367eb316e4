"""The faults that `make test-faults` plants have their places in the source."""

import re

import pytest
from mutations import FAULTS, REPOSITORY, Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_has_one_place_and_a_test_that_should_notice_it(fault: Fault) -> None:
    assert len(re.findall(fault.pattern, (REPOSITORY / fault.file).read_text(), re.MULTILINE)) == 1
    path, _, test = fault.tests.split()[0].partition("::")
    assert f"def {test}" in (REPOSITORY / path).read_text()
