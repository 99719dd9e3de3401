"""Builds for several platforms on a real engine: each runs, one failure ends all, and nothing stays behind."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from appliance.builds.errors import (
    BuildFailedError,
    DiskLowError,
    EmulationMissingError,
    ImageQuotaError,
)
from appliance.builds.images import tag as tag_image
from appliance.builds.model import BuildRequest, BuildState, Stage
from appliance.builds.ports import FinishedRun, PublishRequest
from appliance.builds.service import BuildService
from appliance.core.errors import UnavailableError
from appliance.core.images import Published, PublishedPlatform
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.infra.process import run
from appliance.settings import load_settings
from tests.engine import Box, docker
from tests.fakes.git_http import GitServer
from tests.fakes.tiny import AMD, ARM, fresh, slow, tiny
from tests.functional.builds.conftest import Bench
from tests.functional.builds.test_builds_crashes import gone, marked, until_logged


@dataclass
class Book:
    """A ledger that remembers what it was told, in a table so that a rollback shows."""

    database: Database
    runs: list[FinishedRun] = field(default_factory=list)

    def record(self, run: FinishedRun) -> int:
        assert self.database.peewee.in_transaction()
        self.runs.append(run)
        return len(self.runs)


@dataclass
class Shelf:
    """A publisher that takes what it is given, or does not."""

    failure: UnavailableError | None = None
    asked: list[PublishRequest] = field(default_factory=list)
    is_configured: bool = True

    async def publish(
        self, request: PublishRequest, say: Callable[[str], None]
    ) -> Published:
        self.asked.append(request)
        say("Pushing.")
        if self.failure:
            raise self.failure
        platforms = tuple(
            PublishedPlatform(image.platform, f"r/n@{image.image_id}", image.image_id)
            for image in request.images
        )
        return Published(
            repository="r/n",
            tag="1",
            digest="sha256:list",
            is_multi_arch=True,
            platforms=platforms,
        )


@dataclass
class Wide:
    """A bench for several platforms, with a ledger and a registry."""

    bench: Bench
    book: Book
    shelf: Shelf


@pytest.fixture
async def wide(database: Database, engine: Engine, box: Box) -> Wide:
    """A service that builds for this box and one other platform."""
    return await make(database, engine, box, registry_arch_targets=f"{ARM},{AMD}")


async def make(
    database: Database, engine: Engine, box: Box, **settings: object
) -> Wide:
    book, shelf = Book(database), Shelf()
    loaded = await asyncio.to_thread(
        load_settings,
        jwt_secret=box.settings.jwt_secret.get_secret_value(),
        data_dir=box.settings.data_dir,
        **settings,
    )
    service = BuildService(
        database, engine, loaded, owner=box.owner, publisher=shelf, ledger=book
    )
    return Wide(Bench(service, database, box), book, shelf)


async def test_every_platform_gets_an_image_that_runs_as_that_platform(
    wide: Wide, repositories: GitServer
) -> None:
    bench = wide.bench
    url = repositories.add("tiny", tiny(fresh("RUN echo made on $(uname -m)")))
    request = await bench.request({"repo_url": url})

    built = await bench.build(request)

    (asked,) = wide.shelf.asked
    (ran,) = wide.book.runs
    assert [image.platform for image in asked.images] == [AMD, ARM]
    assert ran.images == asked.images
    assert ran.images[0].image_id == built.image
    assert (ran.status, ran.attempt, ran.error) == (BuildState.SUCCEEDED, 1, "")
    assert ran.revision == built.resolved["revision"]
    assert ran.published is not None
    assert bench.stages == [Stage.CLONING, Stage.BUILDING, Stage.PUSHING]
    said = [
        docker("run", "--rm", "--network=none", "--platform", image.platform, image.tag)
        for image in ran.images
    ]
    assert said == ["x86_64", "aarch64"]
    log = (await bench.log(request)).splitlines()
    assert "linux/amd64 | made on x86_64" in log
    assert "linux/arm64 | made on aarch64" in log
    view = await bench.view(request)
    assert [(row.platform, row.state, row.digest) for row in view.platforms] == [
        (image.platform, "done", image.image_id) for image in ran.images
    ]
    for row in view.platforms:
        assert row.step == row.steps == len(row.log) == 3
        assert row.started_at
        assert row.built_at
        assert row.finished_at


async def test_what_runs_here_is_built_but_not_published_unless_it_was_asked_for(
    database: Database, engine: Engine, box: Box, repositories: GitServer
) -> None:
    wide = await make(database, engine, box, registry_arch_targets=ARM)
    request = await wide.bench.request({"repo_url": repositories.add("tiny", tiny())})

    built = await wide.bench.build(request)

    assert [image.platform for image in wide.shelf.asked[0].images] == [ARM]
    assert wide.book.runs[0].images[0].image_id == built.image
    assert docker("run", "--rm", "--network=none", built.image) == "x86_64"


async def test_one_platform_that_fails_ends_the_others_and_leaves_no_image(
    wide: Wide, repositories: GitServer
) -> None:
    bench = wide.bench
    step = 'RUN if [ "$(uname -m)" = aarch64 ]; then echo no; exit 3; fi; sleep 302'
    url = repositories.add("tiny", tiny(step))
    request = await bench.request({"repo_url": url})

    with pytest.raises(BuildFailedError):
        await bench.build(request)

    view = await bench.view(request)
    assert view.state is BuildState.FAILED
    assert {row.platform: row.state for row in view.platforms} == {
        AMD: "cancelled",
        ARM: "failed",
    }
    assert view.platforms[1].log[-1].state == "failed"
    assert bench.box.leftovers() == []
    assert marked(bench.box.owner) == []
    (ran,) = wide.book.runs
    assert (ran.status, ran.images) == (BuildState.FAILED, ())
    assert ran.error == view.error
    assert ran.revision
    assert wide.shelf.asked == []
    await gone("sleep 302")


async def test_cancel_stops_every_platform_within_a_second_and_leaves_nothing(
    wide: Wide, repositories: GitServer
) -> None:
    bench = wide.bench
    url = repositories.add("tiny", tiny(slow(303)))
    request = await bench.request({"repo_url": url})
    building = asyncio.create_task(bench.build(request))
    await until_logged(bench, request, "linux/amd64 | begun")
    await until_logged(bench, request, "linux/arm64 | begun")

    started = time.monotonic()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    took = time.monotonic() - started

    assert marked(bench.box.owner) == []
    assert bench.box.leftovers() == []
    assert not any((bench.box.settings.data_dir / "builds").iterdir())
    assert (await bench.view(request)).state is BuildState.CANCELLED
    assert [run.status for run in wide.book.runs] == [BuildState.CANCELLED]
    await gone("sleep 303")
    assert took < 1


async def test_a_platform_whose_programs_do_not_run_here_is_said_to_need_emulation(
    database: Database, engine: Engine, box: Box, repositories: GitServer
) -> None:
    wide = await make(database, engine, box, registry_arch_targets="linux/s390x")
    # A program of a machine that nothing emulates, so that the test holds where emulation for every other is installed.
    program = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xff\xff" + bytes(64)
    files = tiny() | {"busybox-s390x": program}
    request = await wide.bench.request({"repo_url": repositories.add("tiny", files)})

    with pytest.raises(EmulationMissingError) as caught:
        await wide.bench.build(request)

    assert "linux/s390x" in caught.value.detail
    assert "qemu-user-static" in caught.value.reason


async def test_a_push_that_fails_fails_the_build_and_takes_its_images_away(
    wide: Wide, repositories: GitServer
) -> None:
    wide.shelf.failure = UnavailableError("The registry is shut.")
    bench = wide.bench
    request = await bench.request({"repo_url": repositories.add("tiny", tiny())})

    with pytest.raises(UnavailableError, match="shut"):
        await bench.build(request)

    assert bench.box.leftovers() == []
    assert (await bench.log(request)).endswith("The registry is shut.")
    (ran,) = wide.book.runs
    assert (ran.status, ran.published) == (BuildState.FAILED, None)
    wide.shelf.failure = None
    assert (await bench.build(request)).image
    assert [run.attempt for run in wide.book.runs] == [1, 2]


async def test_a_build_does_not_begin_on_a_disk_that_is_nearly_full(
    database: Database, engine: Engine, box: Box, repositories: GitServer
) -> None:
    wide = await make(database, engine, box, build_min_free_gib=10**6)
    request = await wide.bench.request({"repo_url": repositories.add("tiny", tiny())})

    with pytest.raises(DiskLowError, match="free"):
        await wide.bench.build(request)

    assert wide.bench.stages == []


async def test_images_that_nobody_refers_to_go_and_the_others_stay(
    database: Database, engine: Engine, box: Box, repositories: GitServer
) -> None:
    kept: list[int] = []

    async def referred() -> list[int]:
        return kept

    service = BuildService(
        database,
        engine,
        await asyncio.to_thread(
            load_settings,
            jwt_secret="x" * 40,
            data_dir=box.settings.data_dir,
            registry_arch_targets=f"{AMD},{ARM}",
        ),
        owner=box.owner,
        referred=referred,
    )
    bench = Bench(service, database, box)
    url = repositories.add("tiny", tiny())
    requests = [await bench.request({"repo_url": url}) for _ in range(2)]
    built = [await bench.build(request) for request in requests]
    await tag_image(engine, built[1].image, f"mcp-host/other:{'0' * 12}-1")
    kept.append(requests[0].deployment_id)

    assert await service.prune_images() == 2

    name = f"mcp-host/{requests[0].server_name}:{box.owner}-{kept[0]}"
    assert sorted(box.images()) == [name, f"{name}-linux-arm64"]
    assert docker("images", "-q", f"mcp-host/other:{'0' * 12}-1")
    docker("rmi", f"mcp-host/other:{'0' * 12}-1")


async def test_a_person_whose_images_take_all_they_may_builds_no_more(
    database: Database, engine: Engine, box: Box, repositories: GitServer
) -> None:
    wide = await make(database, engine, box, build_quota_mib=1)
    url = repositories.add(
        "tiny", tiny(fresh("RUN head -c 2000000 /dev/zero > /filler"))
    )
    await wide.bench.build(of(await wide.bench.request({"repo_url": url}), 7))
    url = repositories.add("other", tiny())

    other = await wide.bench.build(of(await wide.bench.request({"repo_url": url}), 8))
    with pytest.raises(ImageQuotaError, match="1 MiB"):
        await wide.bench.build(of(await wide.bench.request({"repo_url": url}), 7))

    assert other.image


def of(request: BuildRequest, person: int) -> BuildRequest:
    """Return ``request`` as another person's."""
    return BuildRequest(
        request.deployment_id,
        request.server_id,
        request.server_name,
        request.source,
        owner_id=person,
    )


async def test_the_builder_tells_what_it_can_and_cannot_do(
    wide: Wide, box: Box
) -> None:
    told = await wide.bench.service.check()

    assert told.startswith("buildx builds with the driver docker, engine ")
    assert f"for {AMD}, {ARM}." in told
    version = (await run(["docker", "info", "--format", "{{.Driver}}"])).text
    if version == "overlay2":
        assert "cannot build several platforms at once" in told
    assert box.leftovers() == []
