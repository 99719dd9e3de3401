"""One attempt at a build: its turn, the images, the push; every line of it stored before it is over."""

import asyncio
import errno
from dataclasses import dataclass
from datetime import datetime

from appliance.builds import board, images, store
from appliance.builds.board import Board
from appliance.builds.disk import Disk
from appliance.builds.driver import Driver
from appliance.builds.errors import BuildFailedError
from appliance.builds.failures import disk_full
from appliance.builds.job import Findings, Job, Made
from appliance.builds.log import BuildLog
from appliance.builds.makers import Makers
from appliance.builds.model import BuildRequest, BuildState, Stage, StageListener
from appliance.builds.platforms import in_order, tag_of
from appliance.builds.ports import FinishedRun, Meter, Publisher, PublishRequest
from appliance.builds.slots import Slots
from appliance.core.clock import now
from appliance.core.errors import DomainError
from appliance.core.images import Published
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.infra.patience import persist
from appliance.sources.model import ImageSource, RemoteSource


@dataclass(frozen=True)
class Parts:
    """What every attempt works with."""

    database: Database
    engine: Engine
    driver: Driver
    disk: Disk
    makers: Makers
    slots: Slots
    #: ``None``: images stay on this box.
    publisher: Publisher | None
    #: This installation's id.
    owner: str
    #: Platforms that somebody asked for; ``None``: the box's own will do.
    targets: tuple[str, ...] | None
    #: ``None``: nobody counts.
    meter: Meter | None = None


class Attempt:
    """One attempt at one build."""

    def __init__(self, parts: Parts, request: BuildRequest, begun: store.Begun) -> None:
        """Keep the parts; nothing happens yet."""
        self._parts = parts
        self._request = request
        self._begun = begun
        #: When it had its turn; ``None``: it waits, which is not counted.
        self._began_at: datetime | None = None
        self._findings = Findings()
        self._published: Published | None = None
        self._shortcomings: tuple[str, ...] = ()
        self.view = begun.view
        #: What every platform is doing.
        self.board = Board(())

    async def run(self, on_stage: StageListener) -> Made:
        """Make the images and push them; a failure leaves none of them.

        Raises:
            BuildFailedError: It failed.
            DomainError: It could not be pushed, or the engine is away.
        """
        tags = await self._tags()
        self.board = Board(tuple(tags))
        lines = BuildLog(
            self._parts.database,
            self.board,
            build_id=self.view.id,
            server_id=self._request.server_id,
            last_line=self._begun.last_line,
        )
        async with lines:
            if self.view.attempt > 1:
                lines.line(
                    f"— Attempt {self.view.attempt} begins: the one before did not come to its end. —"
                )
            if self._request.note:
                lines.line(self._request.note)
            job = await self._job(tags, lines, on_stage)
            try:
                made = await self._in_turn(job)
            except asyncio.CancelledError:
                lines.line("The build was cancelled.")
                await asyncio.shield(self._clear(job, board.CANCELLED))
                raise
            except DomainError as error:
                lines.line(error.reason)
                await self._clear(job, board.FAILED)
                raise
            self.board.done(self._published)
            return made

    async def _tags(self) -> dict[str, str]:
        """Return the platforms that are built, each with its image's name."""
        if isinstance(self._request.source, RemoteSource):
            return {}
        able = await self._parts.driver.abilities()
        targets = self._parts.targets or (able.native,)
        if isinstance(self._request.source, ImageSource):
            targets = (able.native,)
        platforms = in_order(targets, able.native)
        self._shortcomings = able.shortcomings(platforms)
        return {
            platform: tag_of(
                platform,
                native=able.native,
                owner=self._parts.owner,
                server_name=self._request.server_name,
                deployment_id=self._request.deployment_id,
            )
            for platform in platforms
        }

    async def _job(
        self, tags: dict[str, str], lines: BuildLog, on_stage: StageListener
    ) -> Job:
        database, view, request = self._parts.database, self.view, self._request
        kept = None
        if request.like is not None:
            kept = await database.run(store.lock_of, request.like)
        return Job(
            request=request,
            tags=tags,
            mark=f"build:{self._parts.owner}:{request.deployment_id}",
            build_name=f"{self._parts.owner}-{view.id}-{view.started_at:%Y%m%dT%H%M%S%f}",
            say=lines.line,
            board=self.board,
            on_stage=on_stage,
            kept=kept,
            on_recipe=lambda dockerfile, base: persist(
                database,
                store.set_recipe,
                view.id,
                dockerfile=dockerfile,
                base_image=base,
            ),
            findings=self._findings,
        )

    async def _in_turn(self, job: Job) -> Made:
        slots, owner = self._parts.slots, self._request.owner_id
        if slots.is_full:
            job.say("Waiting for other builds to end.")
        async with slots.slot(owner):
            try:
                await self._begin(job)
                if job.tags:
                    await self._parts.disk.ensure_room(owner)
                made = await self._parts.makers.make(job)
            except OSError as error:
                if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                    raise disk_full() from error
                raise BuildFailedError(
                    f"The build could not use its directory: {error}."
                ) from error
            await self._publish(job, made)
            return made

    async def _begin(self, job: Job) -> None:
        """Have the clock run, if the owner's quota allows it."""
        began_at, meter, view = now(), self._parts.meter, self.view
        # A remote server is only asked whether it is there.
        if meter is not None and job.tags:
            owner = self._request.owner_id
            warning = await self._parts.database.run(
                meter.begin, owner, view.id, view.attempt, began_at
            )
            if warning:
                job.say(warning)
        self._began_at = began_at

    async def _publish(self, job: Job, made: Made) -> None:
        publisher = self._parts.publisher
        if publisher is None or not publisher.is_configured or not made.images:
            return
        await job.on_stage(Stage.PUSHING)
        self.board.pushing()
        # What was built only to run here is not among what was asked for.
        asked = [
            image
            for image in made.images
            if image.platform in (self._parts.targets or ())
        ]
        request = PublishRequest(
            server_id=self._request.server_id,
            server_name=self._request.server_name,
            deployment_id=self._request.deployment_id,
            images=tuple(asked) or made.images,
        )
        self._published = await publisher.publish(request, job.say)

    async def _clear(self, job: Job, state: str) -> None:
        self.board.ended(state)
        for tag in job.tags.values():
            await images.untag(self._parts.engine, tag)

    def finished(
        self, status: BuildState, *, error: str = "", made: Made | None = None
    ) -> FinishedRun:
        """Return what the ledger is told."""
        completed_at = now()
        return FinishedRun(
            build_id=self.view.id,
            attempt=self.view.attempt,
            deployment_id=self._request.deployment_id,
            server_id=self._request.server_id,
            server_name=self._request.server_name,
            source=self._request.source,
            status=status,
            error=error,
            revision=self._findings.revision,
            local_image=(made.tag or "") if made else "",
            images=self._findings.images,
            published=self._published,
            started_at=self._began_at or completed_at,
            completed_at=completed_at,
            shortcomings=self._shortcomings,
        )
