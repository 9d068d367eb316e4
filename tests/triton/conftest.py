"""What the tests of services behind Triton share."""

from collections.abc import Iterator

import pytest
from support.deployment import BehindTriton


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[BehindTriton]:
    with BehindTriton(tmp_path_factory.mktemp("triton")).running() as running:
        assert isinstance(running, BehindTriton)
        yield running
