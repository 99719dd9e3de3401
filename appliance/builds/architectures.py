"""One image for each platform of a build, several at once, and nothing left of any when one fails."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.builds import images
from appliance.builds.base_image import BaseImages
from appliance.builds.buildx import Buildx
from appliance.builds.dockerfile import BuildxCommand
from appliance.builds.dockerfile_check import source_policy
from appliance.builds.errors import BuildFailedError
from appliance.builds.job import Job
from appliance.builds.platforms import at_once, prefixed
from appliance.builds.trust import CA_SECRET, trusting
from appliance.core import labels
from appliance.core.errors import DomainError
from appliance.core.images import PlatformImage
from appliance.core.platforms import dashed
from appliance.infra import process
from appliance.infra.docker import Engine
from appliance.settings import Settings

POLICY = "policy.json"


@dataclass(frozen=True)
class Recipe:
    """What is built, whatever the platform."""

    #: Takes the base image's tag (empty without one) and returns the Dockerfile.
    dockerfile: Callable[[str], str]
    #: Whether it builds on our own base image, and its installer writes down what it took.
    has_base: bool
    context: Path
    #: Whether a person wrote it for this server, on whichever base.
    is_written: bool = False

    @property
    def is_strangers(self) -> bool:
        """Whether it says what we did not: it is lent the box's certificates, and held to the policy."""
        return self.is_written or not self.has_base


class Architectures:
    """Builds recipes for platforms."""

    def __init__(
        self,
        engine: Engine,
        buildx: Buildx,
        base: BaseImages,
        settings: Settings,
        *,
        owner: str,
    ) -> None:
        """Keep the parts."""
        self._engine = engine
        self._buildx = buildx
        self._base = base
        self._settings = settings
        self._owner = owner

    async def build(
        self, job: Job, recipe: Recipe, work: Path
    ) -> tuple[PlatformImage, ...]:
        """Return an image for each of the job's platforms, in their order.

        The first failure ends the others.

        Args:
            job: What it is for.
            recipe: What is built.
            work: Directory for the Dockerfiles.

        Raises:
            BuildFailedError: It failed for one platform.
            EngineUnavailableError: The engine does not answer.
        """
        limit = asyncio.Semaphore(
            at_once(
                self._settings.registry_build_parallelism,
                cpus=os.cpu_count() or 1,
                targets=len(job.platforms),
            )
        )
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        self._one(job, recipe, work, platform, limit=limit)
                    )
                    for platform in job.platforms
                ]
        except ExceptionGroup as failures:
            raise _first(failures) from failures
        return tuple(task.result() for task in tasks)

    async def _one(
        self,
        job: Job,
        recipe: Recipe,
        work: Path,
        platform: str,
        *,
        limit: asyncio.Semaphore,
    ) -> PlatformImage:
        async with limit:
            job.board.building(platform)
            try:
                image = await self._image(job, recipe, work, platform)
            except (DomainError, OSError):
                job.board.failed(platform)
                raise
            job.board.built(platform, image.image_id)
            return image

    async def _image(
        self, job: Job, recipe: Recipe, work: Path, platform: str
    ) -> PlatformImage:
        def say(text: str) -> None:
            job.say(prefixed(platform, job.platforms, text))

        # The box's own goes unnamed, so that its base, its cache and its commands are the same with and without others.
        foreign = None if platform == job.native else platform
        base = await self._base.ensure(say, foreign) if recipe.has_base else None
        text = recipe.dockerfile(base or "")
        if foreign is None:
            await job.on_recipe(text, base)
        name = f"Dockerfile-{dashed(foreign)}" if foreign else "Dockerfile"
        secrets = await self._lend(recipe)
        await asyncio.to_thread(
            (work / name).write_text, trusting(text) if secrets else text
        )
        if recipe.is_strangers:
            policy = source_policy(has_network=self._settings.build_network != "none")
            await asyncio.to_thread((work / POLICY).write_text, policy)
        command = self.command(job, recipe, work / name, platform, secrets=secrets)
        await self._buildx.build(
            command,
            job.request.source,
            on_line=say,
            mark=job.mark,
            on_progress=lambda progress: job.board.progressed(platform, progress),
        )
        return await self._made(command.tag, platform)

    async def _lend(self, recipe: Recipe) -> dict[str, Path]:
        bundle = self._settings.ca_bundle
        lent = recipe.is_strangers and await asyncio.to_thread(bundle.is_file)
        return {CA_SECRET: bundle} if lent else {}

    def command(
        self,
        job: Job,
        recipe: Recipe,
        dockerfile: Path,
        platform: str,
        *,
        secrets: Mapping[str, Path],
    ) -> BuildxCommand:
        """Return the command that builds one platform."""
        settings = self._settings
        return BuildxCommand(
            tag=job.tags[platform],
            dockerfile=dockerfile,
            context=recipe.context,
            labels={
                labels.OWNER: self._owner,
                labels.SERVER: str(job.request.server_id),
                labels.DEPLOYMENT: str(job.request.deployment_id),
                labels.PERSON: str(job.request.owner_id),
            },
            builder=settings.buildx_builder,
            secrets=secrets,
            build_arguments={
                **process.proxies(),
                # One engine serves many people; what a step leaves in a cache mount is theirs alone.
                "BUILDKIT_CACHE_MOUNT_NS": f"{self._owner}-{job.request.owner_id}",
            },
            has_network=settings.build_network != "none",
            policy=dockerfile.with_name(POLICY) if recipe.is_strangers else None,
            platform=None if platform == job.native else platform,
            has_cache=not settings.registry_build_disable_cache,
            cache_from=tuple((settings.registry_build_cache_from or "").split()),
        )

    async def _made(self, tag: str, platform: str) -> PlatformImage:
        """Return what buildx made under a tag, by its id."""
        found = await images.inspect(self._engine, tag)
        if found is None:
            raise BuildFailedError(
                "The build ended well, but its image is not on this box.",
                hint="Redeploy the server.",
            )
        return PlatformImage(platform, found["Id"], tag)


def _first(failures: ExceptionGroup[Exception]) -> Exception:
    """Return the failure that ended the others."""
    error: Exception = failures
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
