"""Pruning a real registry: what goes is gone, what is referred to is there, and one that removes nothing is told once."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from appliance.core.images import Published, PublishedPlatform
from appliance.infra.database import Database
from appliance.jobs.queue import JobQueue
from appliance.observability.usage import usage_of
from appliance.registry import store
from appliance.registry.client import RegistryClient
from appliance.registry.errors import RegistryError
from appliance.registry.lists import publish_list
from appliance.registry.prune import Kept
from appliance.registry.prune_service import PRUNE, Pruned, Pruner
from tests.harness.faults import Fault, FaultProxy, fault_proxy
from tests.harness.registry import Registry, registry
from tests.harness.small_images import Shelf

SERVER = 7
BOTH = ("linux/amd64", "linux/arm64")


@pytest.fixture(scope="module")
def box() -> Iterator[Registry]:
    """A registry that removes what it is told to."""
    with registry() as running:
        yield running


@pytest.fixture(scope="module")
def stubborn() -> Iterator[Registry]:
    """A registry that removes nothing."""
    with registry(delete=False) as running:
        yield running


@pytest.fixture
def front(box: Registry) -> Iterator[FaultProxy]:
    """Stands in front of the registry, to be unkind."""
    with fault_proxy(box.host) as running:
        yield running


@dataclass
class Referring:
    """Whoever refers to something."""

    now: Kept = field(default_factory=Kept)

    def kept(self, _server_id: int) -> Kept:
        return self.now


@dataclass
class Yard:
    """A repository, and who keeps it tidy."""

    running: Registry
    shelf: Shelf
    pruner: Pruner
    references: Referring
    database: Database

    @property
    def repository(self) -> str:
        return f"{self.shelf.client.host}/{self.shelf.repository}"

    async def publish(
        self, deployment: int, platforms: tuple[str, ...] = BOTH, content: str = ""
    ) -> Published:
        """Publish the build of a deployment; the same content is the same image."""
        pushed = tuple(
            [
                await self.shelf.image(item, content or str(deployment))
                for item in platforms
            ]
        )
        return await self.publish_these(deployment, pushed)

    async def publish_these(
        self, deployment: int, pushed: tuple[PublishedPlatform, ...]
    ) -> Published:
        tag = f"box-{deployment}"
        digest = await publish_list(
            self.shelf.client, self.shelf.repository, tag, pushed
        )
        published = Published(self.repository, tag, digest, len(pushed) > 1, pushed)
        await self.pruner.published(SERVER, deployment, published)
        return published

    async def prune(self) -> Pruned:
        return await self.pruner.prune(SERVER, self.repository)

    def has(self, digest: str) -> bool:
        return self.running.manifest(self.shelf.repository, digest) is not None

    def tags(self) -> list[str]:
        return self.running.tags(self.shelf.repository)

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the server's metrics, oldest first."""
        found = await self.database.run(usage_of, SERVER)
        return [(item.event_type, dict(item.details)) for item in reversed(found)]


@asynccontextmanager
async def yard(
    running: Registry, database: Database, name: str, host: str = ""
) -> AsyncIterator[Yard]:
    async with aiohttp.ClientSession() as session:
        client = RegistryClient(session, host or running.host, plain=True)
        references = Referring()
        pruner = Pruner(
            database, lambda: client, [references], owner="box", retry_limit=3
        )
        shelf = Shelf(client, f"team/{name}")
        yield Yard(running, shelf, pruner, references, database)


def digests(published: Published) -> set[str]:
    return {published.digest, *(item.digest for item in published.platforms)}


async def test_a_publication_is_remembered_and_asks_for_a_pruning(
    database: Database, box: Registry
) -> None:
    async with yard(box, database, "remembered") as here:
        published = await here.publish(1)
        await here.publish(1)

    (kept,) = await database.run(store.publications, here.repository)
    assert kept.digests == digests(published)
    assert (kept.tag, kept.deployment_id) == ("box-1", 1)
    (job,) = await JobQueue(database).list(kind=PRUNE)
    assert job.payload == {"server_id": SERVER, "repository": here.repository}


async def test_what_nothing_refers_to_is_removed_with_its_tag(
    database: Database, box: Registry
) -> None:
    async with yard(box, database, "removed") as here:
        old = await here.publish(1)
        live = await here.publish(2)
        new = await here.publish(3, ("linux/amd64",))
        here.references.now = Kept(deployments=frozenset({2}))

        done = await here.prune()

        assert done.removed == 3
        assert not any(here.has(item) for item in digests(old))
        assert all(here.has(item) for item in digests(live) | digests(new))
        assert here.tags() == ["box-2", "box-3"]
        assert [name for name, _ in await here.events()] == [
            "manifest_prune_started",
            "manifest_prune_succeeded",
        ]
        details = (await here.events())[1][1]
        assert set(details["digests"]) == digests(old)
        assert details["scopes"] == [
            "repository:team/removed:push",
            "repository:team/removed:pull",
        ]
        assert (details["registry_endpoint"], details["retry_limit"]) == (box.host, 3)
        assert (await here.prune()).removed == 0


async def test_manifests_of_an_architecture_that_is_no_longer_produced_go(
    database: Database, box: Registry
) -> None:
    async with yard(box, database, "narrowed") as here:
        both = await here.publish(1, content="same")
        one = await here.publish(2, ("linux/amd64",), content="same")

        await here.prune()

        amd64, arm64 = (item.digest for item in both.platforms)
        assert one.digest == amd64
        assert here.has(amd64)
        assert not here.has(arm64)
        assert not here.has(both.digest)


async def test_a_platform_that_a_kept_list_shares_stays(
    database: Database, box: Registry
) -> None:
    async with yard(box, database, "shared") as here:
        amd64 = await here.shelf.image("linux/amd64", "same")
        old_arm, new_arm = [
            await here.shelf.image("linux/arm64", item) for item in ("old", "new")
        ]
        old = await here.publish_these(1, (amd64, old_arm))
        new = await here.publish_these(2, (amd64, new_arm))

        await here.prune()

        assert not here.has(old.digest)
        assert not here.has(old_arm.digest)
        assert all(here.has(item) for item in digests(new))
        assert amd64.digest in digests(new)


async def test_who_refers_to_a_digest_keeps_all_that_belongs_to_it(
    database: Database, box: Registry
) -> None:
    async with yard(box, database, "certified") as here:
        certified = await here.publish(1)
        await here.publish(2)
        here.references.now = Kept(frozenset({certified.platforms[1].digest}))

        await here.prune()

        assert all(here.has(item) for item in digests(certified))


async def test_attachments_go_with_their_subject_and_stay_with_it(
    database: Database, box: Registry
) -> None:
    async with yard(box, database, "attached") as here:
        old, new = await here.publish(1), await here.publish(2)
        gone = await here.shelf.referrer(old.digest)
        gone_too = await here.shelf.referrer(old.platforms[0].digest)
        of_gone = await here.shelf.referrer(gone)
        stays = await here.shelf.referrer(new.digest)

        await here.prune()

        assert not any(here.has(item) for item in (gone, gone_too, of_gone))
        assert here.has(stays)
        assert here.tags() == ["box-2", new.digest.replace(":", "-")]


async def test_what_somebody_else_has_tagged_stays(
    database: Database, box: Registry
) -> None:
    async with yard(box, database, "tagged") as here:
        old = await here.publish(1)
        await here.publish(2)
        client, repository = here.shelf.client, here.shelf.repository
        manifest = await client.manifest(repository, old.digest)
        await client.put_manifest(
            repository, "prod", manifest.body, manifest.media_type
        )

        await here.prune()

        assert all(here.has(item) for item in digests(old))
        assert "prod" in here.tags()


async def test_a_tag_that_a_killed_build_left_is_found_and_removed(
    database: Database, box: Registry
) -> None:
    async with yard(box, database, "stray") as here:
        pushed = [await here.shelf.image(item, "stray") for item in BOTH]
        client, repository = here.shelf.client, here.shelf.repository
        for tag in ("box-1", "box-4", "other-1", "box-x"):
            await publish_list(client, repository, tag, (pushed[0],))
        both = await publish_list(client, repository, "box-2", tuple(pushed))
        await here.publish(3)
        here.references.now = Kept(deployments=frozenset({4}))

        first = await here.prune()

        # Another tag names the same digest, which keeps it; the list goes.
        assert first.removed == 2
        assert here.has(pushed[0].digest)
        assert not here.has(both)
        assert not here.has(pushed[1].digest)
        assert "box-2" not in here.tags()


async def test_while_a_build_is_on_its_way_nothing_is_removed(
    database: Database, box: Registry
) -> None:
    async with yard(box, database, "busy") as here:
        old = await here.publish(1)
        await here.publish(2)
        here.references.now = Kept(is_busy=True)

        assert (await here.prune()).is_busy
        assert here.has(old.digest)
        assert await here.events() == []


async def test_a_registry_that_removes_nothing_is_told_once_and_is_no_failure(
    database: Database, stubborn: Registry
) -> None:
    async with yard(stubborn, database, "stubborn") as here:
        old = await here.publish(1)
        await here.publish(2)

        first, second = await here.prune(), await here.prune()

        assert (first.is_refused, second.is_refused) == (True, True)
        assert here.has(old.digest)
        events = await here.events()
        assert [name for name, _ in events] == [
            "manifest_prune_started",
            "manifest_prune_failed",
        ]
        assert events[1][1]["error_kind"] == "unsupported"


async def test_once_the_registry_removes_again_pruning_goes_on_and_says_so(
    database: Database, box: Registry, front: FaultProxy
) -> None:
    front.faults.append(Fault("DELETE", "", status=405, times=1))
    async with yard(box, database, "again", front.host) as here:
        old = await here.publish(1)
        await here.publish(2)
        await here.prune()

        done = await here.prune()

        assert done.removed == 3
        assert not here.has(old.digest)
        names = [
            name.removeprefix("manifest_prune_") for name, _ in await here.events()
        ]
        assert names == ["started", "failed", "started", "succeeded"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("DELETE", "", status=503, skip=1),
        Fault("GET", "tags/list", status=500),
        Fault("GET", "manifests/sha256", status=403, skip=1),
    ],
)
async def test_a_pruning_that_fails_removes_nothing_that_is_kept_and_is_done_again(
    database: Database, box: Registry, front: FaultProxy, fault: Fault
) -> None:
    async with yard(box, database, f"torn-{fault.status}", front.host) as here:
        old, new = await here.publish(1), await here.publish(2)
        front.faults.append(fault)

        with pytest.raises(RegistryError):
            await here.prune()
        front.faults.clear()
        await here.prune()

        assert not any(here.has(item) for item in digests(old))
        assert all(here.has(item) for item in digests(new))
