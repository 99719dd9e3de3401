"""One way to an image for each kind of source."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from appliance.builds import asof, images, recipes, speech
from appliance.builds.architectures import Architectures, Recipe
from appliance.builds.checkout import Checkout
from appliance.builds.compiled import GoProject, RustProject
from appliance.builds.dockerfile import KEPT, package_dockerfile
from appliance.builds.dockerfile_check import is_own_image
from appliance.builds.errors import BuildFailedError, ImageNotFoundError
from appliance.builds.job import Job, Made
from appliance.builds.model import BuiltImage, Stage
from appliance.builds.project import DockerfileProject, recognise
from appliance.builds.remote import check_remote
from appliance.builds.trees import Trees, Wanted, name_of
from appliance.builds.workspace import Workspace
from appliance.core import labels
from appliance.core.clock import now
from appliance.core.images import PlatformImage
from appliance.infra.docker import Engine
from appliance.settings import Settings
from appliance.sources.model import (
    ArchiveSource,
    GitSource,
    ImageSource,
    PackageSource,
    RemoteSource,
)


class Makers:
    """Makes images."""

    def __init__(
        self,
        engine: Engine,
        architectures: Architectures,
        trees: Trees,
        settings: Settings,
        *,
        owner: str,
    ) -> None:
        """Keep the parts."""
        self._engine = engine
        self._architectures = architectures
        self._trees = trees
        self._settings = settings
        self._owner = owner

    async def make(self, job: Job) -> Made:
        """Return the image for the job's source.

        Raises:
            BuildFailedError: It could not be made.
            EngineUnavailableError: The engine does not answer.
        """
        match job.request.source:
            case PackageSource() as package:
                return await self._package(job, package)
            case GitSource() | ArchiveSource() as tree:
                return await self._tree(job, tree)
            case ImageSource() as image:
                return await self._image(job, image)
            case RemoteSource() as remote:
                await check_remote(
                    remote.url, allow_private=self._settings.remote_allow_private
                )
                job.say(f"Nothing to build: {remote.url} is run by somebody else.")
                return Made(BuiltImage("", {"transport": speech.HTTP}), None)

    def _workspace(self, job: Job) -> Workspace:
        path = self._settings.data_dir / "builds" / str(job.request.deployment_id)
        return Workspace(path, mark=job.mark)

    async def _package(self, job: Job, package: PackageSource) -> Made:
        await job.on_stage(Stage.BUILDING)
        async with self._workspace(job) as work:
            plan = asof.plan(
                package,
                job.kept,
                min_age_days=self._settings.package_min_release_age_days,
                now=now(),
            )
            context = work.path / "context"
            await asyncio.to_thread(context.mkdir)
            if plan.kept:
                kept = (context / KEPT).write_text
                await asyncio.to_thread(kept, plan.kept.text)
            own = job.request.dockerfile
            recipe = (
                recipes.of_own(job, own, context, has_network=self._has_network)
                if own
                else Recipe(
                    lambda base: package_dockerfile(
                        base, package, plan, resolved_for=job.build_name
                    ),
                    has_base=True,
                    context=context,
                )
            )
            made_images = await self._architectures.build(job, recipe, work.path)
        made = await self._made(
            job,
            made_images,
            has_resolved=recipe.has_base,
            resolved=recipes.told(None, own, is_written=True) if own else {},
        )
        return replace(
            made,
            image=asof.locked(made.image, made.lock_text, package, plan, now=now()),
        )

    async def _tree(self, job: Job, source: GitSource | ArchiveSource) -> Made:
        await job.on_stage(Stage.CLONING)
        async with self._workspace(job) as work:
            checkout = await self._trees.fetch(
                Wanted(source, job.request.server_id, work.path, job.say, job.mark)
            )
            job.findings.revision = checkout.revision
            recipe, told = self._recipe(job, source, checkout)
            resolved = {"revision": checkout.revision, **told}
            await job.on_stage(Stage.BUILDING)
            made = await self._architectures.build(job, recipe, work.path)
        return await self._made(
            job, made, has_resolved=recipe.has_base, resolved=resolved
        )

    def _recipe(
        self, job: Job, source: GitSource | ArchiveSource, checkout: Checkout
    ) -> tuple[Recipe, dict[str, Any]]:
        """Return what is built, and what is known of the image beforehand."""
        if own := job.request.dockerfile:
            recipe = recipes.of_own(
                job, own, checkout.root, has_network=self._has_network
            )
            return recipe, recipes.told(checkout, own, is_written=True)
        project = recognise(
            checkout.tree, name=name_of(source), entry=job.request.entry
        )
        recipe = recipes.of_project(
            job, checkout, project, has_network=self._has_network
        )
        text = project.text if isinstance(project, DockerfileProject) else ""
        told = recipes.told(checkout, text, is_written=False)
        if isinstance(project, RustProject | GoProject):
            told["entry"] = project.binary
        return recipe, told

    @property
    def _has_network(self) -> bool:
        return self._settings.build_network != "none"

    async def _image(self, job: Job, image: ImageSource) -> Made:
        await job.on_stage(Stage.BUILDING)
        await job.on_recipe("", None)
        job.board.building(job.native)
        found = await images.inspect(self._engine, image.reference)
        if is_own_image(image.reference) or self._is_anothers(job, found):
            raise ImageNotFoundError(
                f"The image {image.reference} belongs to another server of this box.",
                hint="Give the source that it was built from.",
            )
        was_there = found is not None
        if found is None and image.reference.startswith("sha256:"):
            raise ImageNotFoundError(
                f"There is no image with the id {image.reference} on this box.",
                hint="Ids are known to the box that built the image; elsewhere give a name.",
            )
        if found is None:
            job.say(f"Pulling {image.reference}.")
            await images.pull(self._engine, image.reference, on_line=job.say)
            found = await images.inspect(self._engine, image.reference)
        if found is None:
            raise BuildFailedError(
                f"The image {image.reference} was pulled, and then removed by somebody else."
            )
        await images.tag(self._engine, found["Id"], job.tag)
        if not was_there:
            # Now our name alone holds it, and removing the server removes the image.
            await images.untag(self._engine, image.reference)
        job.say(f"Took {image.reference}, {found['Id']}.")
        digests = found.get("RepoDigests") or []
        resolved = {"digest": digests[0].partition("@")[2] if digests else found["Id"]}
        made = PlatformImage(job.native, found["Id"], job.tag)
        job.findings.images = (made,)
        job.board.built(job.native, found["Id"])
        return Made(
            BuiltImage(
                found["Id"], resolved | speech.from_image(found.get("Config") or {})
            ),
            job.tag,
            job.findings.images,
        )

    def _is_anothers(self, job: Job, found: dict[str, Any] | None) -> bool:
        """Tell whether an image was built here for a server of somebody else."""
        held = ((found or {}).get("Config") or {}).get("Labels") or {}
        return held.get(labels.OWNER) == self._owner and held.get(labels.PERSON) != str(
            job.request.owner_id
        )

    async def _made(
        self,
        job: Job,
        made: tuple[PlatformImage, ...],
        *,
        has_resolved: bool,
        resolved: dict[str, object],
    ) -> Made:
        """Return what was built, with what its installer wrote down."""
        own, *others = made
        lock_text = ""
        job.findings.images = made
        if has_resolved:
            await images.remove_helpers(
                self._engine,
                owner=self._owner,
                deployment_id=job.request.deployment_id,
            )
            read, lock_text = await self._read(job, own)
            for other in others:
                found, _ = await self._read(job, other)
                _check_same(own, read, other, found)
            resolved = {**read, **resolved}
            job.findings.revision = job.findings.revision or read.get("version", "")
        return Made(BuiltImage(own.image_id, resolved), own.tag, made, lock_text)

    async def _read(self, job: Job, image: PlatformImage) -> tuple[dict[str, Any], str]:
        return await images.read_resolved(
            self._engine,
            image.image_id,
            owner=self._owner,
            deployment_id=job.request.deployment_id,
        )


def _check_same(
    own: PlatformImage,
    read: Mapping[str, Any],
    other: PlatformImage,
    found: Mapping[str, Any],
) -> None:
    """Refuse images of one build that are of two versions: one came out while they were built."""
    if read.get("version") != found.get("version"):
        raise BuildFailedError(
            f"{own.platform} came to version {read.get('version')}, {other.platform} to {found.get('version')}.",
            hint="A version was published meanwhile, or is not there for every platform. Redeploy, or name the version.",
        )
