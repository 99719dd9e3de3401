"""What keeps a pushed manifest: deployments that count, servers made of pushed images, a build on its way."""

import pytest

from appliance.artifacts.model import ServerFacts
from appliance.artifacts.references import LedgerReferences
from appliance.artifacts.service import LedgerService
from appliance.builds import store as build_store
from appliance.builds.model import BuildState
from appliance.infra.database import Database
from appliance.registry.prune import Kept
from appliance.servers import store
from appliance.servers.model import NewServer
from appliance.servers.references import DeploymentReferences
from appliance.sources.model import ImageSource
from tests.fakes.runs import BOTH, digest, finished, published
from tests.functional.builds.conftest import add_deployment

IMAGE = "registry.example.org/team/time@sha256:" + "a" * 64


@pytest.fixture
def references() -> DeploymentReferences:
    return DeploymentReferences()


async def test_a_pending_deployment_keeps_what_was_published_for_it(
    database: Database, references: DeploymentReferences
) -> None:
    request = await database.run(add_deployment, database, "one")

    kept = await database.run(references.kept, request.server_id)

    assert kept == Kept(deployments=frozenset({request.deployment_id}))


async def test_while_a_build_runs_the_server_is_busy_and_others_are_not(
    database: Database, references: DeploymentReferences
) -> None:
    request = await database.run(add_deployment, database, "one")
    other = await database.run(add_deployment, database, "two")
    begun = await database.run(build_store.begin, request)

    busy = await database.run(references.kept, request.server_id)
    idle = await database.run(references.kept, other.server_id)
    await database.run(build_store.end, begun.view, BuildState.FAILED)
    done = await database.run(references.kept, request.server_id)

    assert (busy.is_busy, idle.is_busy, done.is_busy) == (True, False, False)


async def test_a_server_that_is_made_of_a_pushed_image_keeps_it(
    database: Database, references: DeploymentReferences
) -> None:
    request = await database.run(add_deployment, database, "one")

    def write() -> None:
        owner = "SELECT owner_id FROM servers WHERE id = %s"
        rows = database.peewee.execute_sql(owner, (request.server_id,))
        (owner_id,) = rows.fetchone()
        new = NewServer(ImageSource(IMAGE), name="two")
        made = store.add(
            new,
            name="two",
            owner_id=owner_id,
            key_hash=b"2" * 32,
            key_prefix="2",
        )
        store.add_deployment(made, requested_by="ada")

    await database.run(write)

    kept = await database.run(references.kept, request.server_id)
    assert kept.images == {IMAGE}


async def test_what_the_marketplace_offers_stays_and_what_it_no_longer_offers_does_not(
    database: Database,
) -> None:
    ledger = LedgerService(
        database,
        servers=lambda ids: dict.fromkeys(ids, ServerFacts(1, "npm")),
        targets=BOTH,
    )
    runs = [
        finished(1, published=published(*BOTH, first=100)),
        finished(1, build_id=2, published=published(*BOTH, first=200)),
        finished(1, build_id=3, status=BuildState.FAILED, error="no"),
        finished(5),
    ]
    for run in runs:
        await database.run(ledger.record, run)

    kept = await database.run(LedgerReferences().kept, 1)

    assert kept == Kept(frozenset({digest(200)}))
