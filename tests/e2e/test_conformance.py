"""The official conformance suite and other people's clients, through the whole appliance: two proofs as tests."""

import pytest

from tests.harness.appliance import Created
from tests.harness.clients.matrix import CLIENTS, Client
from tests.harness.conformance import BUILDS
from tests.proofs.client_matrix import try_client
from tests.proofs.conformance import exceptions, measure

NAMES = [build.name for build in BUILDS]


@pytest.mark.parametrize("build", NAMES)
def test_a_hosted_build_passes_both_requirement_sets(
    builds: dict[str, Created], build: str
) -> None:
    verdict = measure(builds[build], build, exceptions())

    assert verdict.surprises == []


@pytest.mark.parametrize("build", NAMES)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_of_others_does_what_it_can(
    builds: dict[str, Created], client: Client, build: str
) -> None:
    surprises = try_client(client, builds[build], build)

    assert surprises == []
