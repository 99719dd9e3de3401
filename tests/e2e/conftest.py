"""One appliance for all end-to-end tests; starting it takes seconds, its base image a minute."""

from collections.abc import Iterator

import pytest

from tests.engine import base_image
from tests.harness.appliance import Appliance, Created
from tests.harness.conformance import BUILDS
from tests.harness.node import ensure_installed
from tests.proofs.conformance import hosted_builds

__all__ = ["base_image"]


@pytest.fixture(scope="session")
def appliance(base_image: str) -> Iterator[Appliance]:  # noqa: ARG001 - or every process would make a base of its own
    """A whole appliance with two gateway workers."""
    with Appliance.temporary(gw_workers=2, remote_allow_private=True) as running:
        yield running


@pytest.fixture(scope="module")
def builds(appliance: Appliance) -> Iterator[dict[str, Created]]:
    """The three builds of the conformance suite's server, hosted, by name."""
    ensure_installed()
    with hosted_builds(appliance, *BUILDS) as made:
        yield made
        for created in made.values():
            appliance.delete(created.id)
