"""Builds as the rest of the hub sees them: ask for an image, get it once, read the log meanwhile."""

import asyncio
import errno
from dataclasses import replace

import structlog

from appliance.builds import images, store
from appliance.builds.base_image import BaseImages
from appliance.builds.buildx import Buildx
from appliance.builds.errors import BuildFailedError
from appliance.builds.failures import disk_full
from appliance.builds.log import BuildLog
from appliance.builds.makers import Job, Made, Makers
from appliance.builds.model import (
    BuildLine,
    BuildRequest,
    BuildState,
    BuildView,
    BuiltImage,
    Lock,
    StageListener,
)
from appliance.core import labels
from appliance.core.errors import DomainError
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.infra.patience import persist
from appliance.settings import Settings
from appliance.sources.model import PackageSource, Source

__all__ = ["BuildService", "BuildView"]

log = structlog.get_logger(__name__)

#: Lines that one call for the log returns at most.
PAGE = 20_000
GIB = 1024**3


class BuildService:
    """Builds images, one per deployment.

    Args:
        owner: This installation's id; images and helper containers carry it.
    """

    def __init__(
        self, database: Database, engine: Engine, settings: Settings, *, owner: str
    ) -> None:
        """Keep the parts; nothing is looked for yet."""
        self._database = database
        self._engine = engine
        self._owner = owner
        buildx = Buildx(engine, timeout_s=settings.build_timeout)
        base = BaseImages(engine, buildx, settings, owner=owner)
        self._makers = Makers(engine, buildx, base, settings, owner=owner)
        self._keep_bytes = settings.build_cache_gib * GIB
        self._slots = asyncio.Semaphore(settings.build_concurrency)

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
        try:
            made = await self._attempt(request, begun, on_stage)
        except asyncio.CancelledError:
            await asyncio.shield(self._end(begun.view, BuildState.CANCELLED, ""))
            raise
        except DomainError as error:
            await self._end(begun.view, BuildState.FAILED, error.reason)
            raise
        await persist(
            self._database,
            store.succeed,
            begun.view.id,
            request.server_id,
            tag=made.tag,
            built=made.image,
        )
        log.info(
            "build_succeeded",
            build_id=begun.view.id,
            server_id=request.server_id,
            image=made.image.image,
        )
        return made.image

    async def _attempt(
        self, request: BuildRequest, begun: store.Begun, on_stage: StageListener
    ) -> Made:
        """Make the image; every line is stored before this returns."""
        view = begun.view
        lines = BuildLog(
            self._database,
            build_id=view.id,
            server_id=request.server_id,
            last_line=begun.last_line,
        )
        async with lines:
            if view.attempt > 1:
                lines.line(
                    f"— Attempt {view.attempt} begins: the one before did not come to its end. —"
                )
            if request.note:
                lines.line(request.note)
            kept = None
            if request.like is not None:
                kept = await self._database.run(store.lock_of, request.like)
            job = Job(
                request=request,
                kept=kept,
                tag=labels.image_tag(
                    self._owner, request.server_name, request.deployment_id
                ),
                mark=f"build:{self._owner}:{request.deployment_id}",
                build_name=f"{self._owner}-{view.id}-{view.started_at:%Y%m%dT%H%M%S%f}",
                say=lines.line,
                on_stage=on_stage,
                on_recipe=lambda dockerfile, base: persist(
                    self._database,
                    store.set_recipe,
                    view.id,
                    dockerfile=dockerfile,
                    base_image=base,
                ),
            )
            try:
                return await self._make(job)
            except asyncio.CancelledError:
                lines.line("The build was cancelled.")
                await asyncio.shield(images.untag(self._engine, job.tag))
                raise
            except DomainError as error:
                lines.line(error.reason)
                raise

    async def _make(self, job: Job) -> Made:
        if self._slots.locked():
            job.say("Waiting for other builds to end.")
        async with self._slots:
            try:
                return await self._makers.make(job)
            except OSError as error:
                if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                    raise disk_full() from error
                raise BuildFailedError(
                    f"The build could not use its directory: {error}."
                ) from error

    async def _end(self, view: BuildView, state: BuildState, reason: str) -> None:
        await persist(self._database, store.end, view.id, view.server_id, state, reason)
        log.info(
            "build_ended", build_id=view.id, server_id=view.server_id, state=state.value
        )

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


def pinned(source: Source, view: BuildView) -> Source:
    """Return ``source`` with the version that an earlier build resolved. Pure."""
    version = view.resolved.get("version")
    if isinstance(source, PackageSource) and isinstance(version, str):
        return replace(source, version=version)
    # A commit cannot be fetched by itself from every git server, so a branch is taken
    # as it is now.
    return source
