"""Builds as the rest of the hub sees them: ask for an image, get it once, read the log meanwhile."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from appliance.builds import images, store
from appliance.builds.architectures import Architectures
from appliance.builds.attempt import Attempt, Parts
from appliance.builds.base_image import BaseImages
from appliance.builds.buildx import Buildx
from appliance.builds.disk import GIB, Disk, Referred
from appliance.builds.driver import Driver
from appliance.builds.job import Made
from appliance.builds.makers import Makers
from appliance.builds.model import (
    BuildLine,
    BuildRequest,
    BuildState,
    BuildView,
    BuiltImage,
    Lock,
    StageListener,
)
from appliance.builds.platforms import in_order
from appliance.builds.ports import FinishedRun, Ledger, Meter, Publisher
from appliance.builds.slots import Slots
from appliance.builds.trees import Trees
from appliance.core.errors import DomainError
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.infra.patience import persist
from appliance.settings import Settings
from appliance.sources.keeper import SourceKeeper
from appliance.sources.model import PackageSource, RemoteSource, Source

__all__ = ["BuildService", "BuildView"]

log = structlog.get_logger(__name__)

#: Lines that one call for the log returns at most.
PAGE = 20_000


class BuildService:
    """Builds images, one per deployment.

    Args:
        owner: This installation's id; images and helper containers carry it.
    """

    def __init__(  # noqa: PLR0913 - the rooms that it does not know come one by one
        self,
        database: Database,
        engine: Engine,
        settings: Settings,
        *,
        owner: str,
        publisher: Publisher | None = None,
        ledger: Ledger | None = None,
        referred: Referred | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Keep the parts; nothing is looked for yet."""
        self._database = database
        self._engine = engine
        self._ledger = ledger
        self._meter = meter
        self._targets = settings.arch_targets
        self._keep_bytes = settings.build_cache_gib * GIB
        self._driver = Driver(engine, settings.buildx_builder)
        self._prunes = referred is not None
        self._disk = Disk(
            engine, settings, owner=owner, referred=referred or _everything
        )
        buildx = Buildx(engine, timeout_s=settings.build_timeout)
        self._base = BaseImages(engine, buildx, settings, owner=owner)
        architectures = Architectures(engine, buildx, self._base, settings, owner=owner)
        trees = Trees(SourceKeeper(database, settings), settings)
        self._parts = Parts(
            database=database,
            engine=engine,
            driver=self._driver,
            disk=self._disk,
            makers=Makers(engine, architectures, trees, settings, owner=owner),
            slots=Slots(settings.build_concurrency),
            publisher=publisher,
            owner=owner,
            targets=self._targets,
            meter=meter,
        )

    async def places(self) -> list[Path]:
        """Return where builds and servers write; see ``Disk``.

        Raises:
            EngineUnavailableError: The engine has not said yet where that is.
        """
        return await self._disk.places()

    async def base_image(self) -> str:
        """Return the base image's tag, after making it if it is not there.

        Raises:
            BuildFailedError: It could not be made; says what is missing.
        """
        return await self._base.ensure(lambda line: log.info("base_image", line=line))

    async def build(self, request: BuildRequest, on_stage: StageListener) -> BuiltImage:
        """Return the image of a deployment, after making it if it was not made yet.

        Called again after a crash it goes on in the same log; called again after it
        succeeded it returns the first result. Cancelling the task stops what runs and
        leaves nothing.

        Raises:
            BuildFailedError: It failed; the text says why and what to do. The row and
                the log say the same.
            UnavailableError: The engine or Postgres went away; the same call may
                succeed later.
        """
        begun = await self._database.run(store.begin, request)
        if begun.view.state is BuildState.SUCCEEDED:
            built = store.built_image(begun.view)
            if not built.image or await images.has_image(self._engine, built.image):
                return built
            # Somebody removed the image. What was resolved then is taken again, so that
            # nothing changes unasked.
            request = replace(
                request,
                source=pinned(request.source, begun.view),
                like=request.deployment_id,
            )
            begun = await self._database.run(store.begin_again, begun.view.id)
        attempt = Attempt(self._parts, request, begun)
        try:
            made = await attempt.run(on_stage)
        except asyncio.CancelledError:
            await asyncio.shield(self._end(attempt, BuildState.CANCELLED, ""))
            raise
        except DomainError as error:
            await self._end(attempt, BuildState.FAILED, error.reason)
            raise
        await _to_its_end(self._succeed(attempt, made))
        return made.image

    async def _succeed(self, attempt: Attempt, made: Made) -> None:
        run = attempt.finished(BuildState.SUCCEEDED, made=made)
        platforms = attempt.board.rows()

        def write() -> None:
            if store.succeed(
                attempt.view, tag=made.tag, built=made.image, platforms=platforms
            ):
                self._record(run)
            self._stop_counting(run)

        await persist(self._database, write)
        log.info(
            "build_succeeded",
            build_id=run.build_id,
            server_id=run.server_id,
            image=made.image.image,
        )

    async def _end(self, attempt: Attempt, state: BuildState, reason: str) -> None:
        run = attempt.finished(state, error=reason)

        def write() -> None:
            if store.end(attempt.view, state, reason):
                self._record(run)
            self._stop_counting(run)

        await persist(self._database, write)
        log.info(
            "build_ended",
            build_id=run.build_id,
            server_id=run.server_id,
            state=state.value,
        )

    def _record(self, run: FinishedRun) -> None:
        # A remote server has no artifact.
        if self._ledger is not None and not isinstance(run.source, RemoteSource):
            self._ledger.record(run)

    def _stop_counting(self, run: FinishedRun) -> None:
        # Also where the build's own row is gone with its server: what was begun is paid for.
        if self._meter is not None:
            self._meter.end(run.build_id, run.attempt, run.completed_at)

    async def image_bytes(self) -> Mapping[int, int]:
        """Return what everybody's images take, by whose builds they are.

        Raises:
            EngineUnavailableError: The engine does not answer.
        """
        return await self._disk.taken()

    async def check(self) -> str:
        """Return in words what the builder can do.

        Raises:
            BuildToolError: There is no builder.
            EngineUnavailableError: The engine does not answer.
        """
        able = await self._driver.abilities()
        return able.sentence(in_order(self._targets or (able.native,), able.native))

    async def prune(self) -> None:
        """Remove images that nothing refers to, and what is too much of the build cache."""
        await self.prune_images()
        await self.prune_cache()

    async def prune_images(self) -> int:
        """Remove the images that nothing refers to; return how many names went."""
        return await self._disk.prune_images() if self._prunes else 0

    async def prune_cache(self) -> int:
        """Bring the engine's build cache down to BUILD_CACHE_GIB; return the bytes that came free."""
        freed = await images.prune_cache(self._engine, keep_bytes=self._keep_bytes)
        log.info("build_cache_pruned", freed_bytes=freed)
        return freed

    async def get(self, deployment_id: int) -> BuildView | None:
        """Return the build of a deployment, if it has one."""
        return await self._database.run(store.of_deployment, deployment_id)

    async def latest(self, server_id: int) -> BuildView | None:
        """Return the newest build of a server, if it has one."""
        return await self._database.run(store.latest, server_id)

    async def lock(self, deployment_id: int) -> Lock | None:
        """Return what the deployment's build took, if it was a package."""
        return await self._database.run(store.lock_of, deployment_id)

    async def lines(self, build_id: int, *, after: int = 0) -> list[BuildLine]:
        """Return the log's lines after number ``after``, oldest first."""
        return await self._database.run(store.lines, build_id, after=after, limit=PAGE)


async def _everything() -> Collection[int]:
    """Stand in where nobody tells what is referred to; nothing is pruned then."""
    return ()


async def _to_its_end(work: Coroutine[None, None, None]) -> None:
    """Wait for ``work`` even if this is cancelled meanwhile: a result that is being written is written."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def pinned(source: Source, view: BuildView) -> Source:
    """Return ``source`` with the version that an earlier build resolved. Pure."""
    version = view.resolved.get("version")
    if isinstance(source, PackageSource) and isinstance(version, str):
        return replace(source, version=version)
    # A commit cannot be fetched by itself from every git server, so a branch is taken
    # as it is now.
    return source
