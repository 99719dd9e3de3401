"""The official conformance suite and other people's clients, through the whole appliance: two proofs as tests.

Every client is tried at the build that needs the most translation, and one client at the others; the proof ``client-matrix``
tries all at all.
"""

import pytest

from tests.harness.appliance import Created
from tests.harness.clients.matrix import CLIENTS, Client
from tests.harness.conformance import BUILDS, LEGACY
from tests.proofs.client_matrix import try_client
from tests.proofs.conformance import exceptions, measure

NAMES = [build.name for build in BUILDS]


@pytest.mark.parametrize("build", NAMES)
def test_a_hosted_build_passes_both_requirement_sets(
    builds: dict[str, Created], build: str
) -> None:
    verdict = measure(builds[build], build, exceptions())

    assert verdict.surprises == []


@pytest.mark.parametrize(
    ("client", "build"),
    [
        pytest.param(client, build, id=f"{client.name} at {build}")
        for number, client in enumerate(CLIENTS)
        for build in NAMES
        if build == LEGACY.name or not number
    ],
)
def test_a_client_of_others_does_what_it_can(
    builds: dict[str, Created], client: Client, build: str
) -> None:
    surprises = try_client(client, builds[build], build)

    assert surprises == []
