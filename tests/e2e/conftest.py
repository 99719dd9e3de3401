"""One appliance for all end-to-end tests; starting it takes seconds, its base image a minute."""

from collections.abc import Iterator

import pytest

from tests.harness.appliance import Appliance


@pytest.fixture(scope="session")
def appliance() -> Iterator[Appliance]:
    """A whole appliance with two gateway workers."""
    with Appliance.temporary(gw_workers=2, remote_allow_private=True) as running:
        yield running
