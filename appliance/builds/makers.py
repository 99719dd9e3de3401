"""One way to an image for each kind of source."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.builds import asof, images, speech
from appliance.builds.base_image import BaseImages
from appliance.builds.buildx import Buildx
from appliance.builds.checkout import Checkout, fetch
from appliance.builds.dockerfile import (
    KEPT,
    BuildxCommand,
    package_dockerfile,
    project_dockerfile,
)
from appliance.builds.errors import BuildFailedError, ImageNotFoundError
from appliance.builds.model import BuildRequest, BuiltImage, Lock, Stage, StageListener
from appliance.builds.project import DockerfileProject, recognise
from appliance.builds.remote import check_remote
from appliance.builds.trust import CA_SECRET, trusting
from appliance.builds.workspace import Workspace
from appliance.core import labels
from appliance.core.clock import now
from appliance.infra import process
from appliance.infra.docker import Engine
from appliance.settings import Settings
from appliance.sources.model import GitSource, ImageSource, PackageSource, RemoteSource


@dataclass(frozen=True)
class Job:
    """One attempt at one build."""

    request: BuildRequest
    #: The name that the image gets.
    tag: str
    #: Carried by every program of this build.
    mark: str
    #: Names the build through all its attempts, and no other build of any installation.
    build_name: str
    #: Takes a line for the log.
    say: Callable[[str], None]
    on_stage: StageListener
    #: What the server's last good build of a package took.
    kept: Lock | None
    #: Told of the Dockerfile and the base image before they are built.
    on_recipe: Callable[[str, str | None], Awaitable[None]]


@dataclass(frozen=True)
class Made:
    """An image, and the name that holds it (``None``: nothing of ours is held)."""

    image: BuiltImage
    tag: str | None
    #: The lock that an installer wrote; empty: none.
    lock_text: str = ""


class Makers:
    """Makes images."""

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

    async def make(self, job: Job) -> Made:
        """Return the image for the job's source.

        Raises:
            BuildFailedError: It could not be made.
            EngineUnavailableError: The engine does not answer.
        """
        match job.request.source:
            case PackageSource() as package:
                return await self._package(job, package)
            case GitSource() as repository:
                return await self._git(job, repository)
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
            base = await self._base.ensure(job.say)
            plan = asof.plan(
                package,
                job.kept,
                min_age_days=self._settings.package_min_release_age_days,
                now=now(),
            )
            text = package_dockerfile(base, package, plan, resolved_for=job.build_name)
            context = work.path / "context"
            await asyncio.to_thread(context.mkdir)
            if plan.kept:
                kept = (context / KEPT).write_text
                await asyncio.to_thread(kept, plan.kept.text)
            await self._buildx_build(
                job, text, base=base, work=work.path, context=context
            )
        made = await self._made(job, has_resolved=True, resolved={})
        return replace(
            made,
            image=asof.locked(made.image, made.lock_text, package, plan, now=now()),
        )

    async def _git(self, job: Job, repository: GitSource) -> Made:
        await job.on_stage(Stage.CLONING)
        async with self._workspace(job) as work:
            job.say(
                f"Cloning {repository.url}"
                + (f", {repository.branch}." if repository.branch else ".")
            )
            checkout = await fetch(
                repository,
                work.path / "checkout",
                ca_bundle=self._settings.ca_bundle,
                on_line=job.say,
                mark=job.mark,
            )
            job.say(f"At commit {checkout.revision}.")
            name = repository.subdirectory.rsplit("/", 1)[-1] or repository.url.rsplit(
                "/", 1
            )[-1].removesuffix(".git")
            project = recognise(checkout.tree, name=name)
            await job.on_stage(Stage.BUILDING)
            resolved = {"revision": checkout.revision, **_speech(checkout, project)}
            if isinstance(project, DockerfileProject):
                job.say("Building the repository's own Dockerfile.")
                await self._buildx_build(
                    job, project.text, base=None, work=work.path, context=checkout.root
                )
            else:
                job.say(
                    f"No Dockerfile: building it as a {type(project).__name__.removesuffix('Project')} project."
                )
                base = await self._base.ensure(job.say)
                text = project_dockerfile(base, project)
                await self._buildx_build(
                    job, text, base=base, work=work.path, context=checkout.root
                )
        return await self._made(
            job,
            has_resolved=not isinstance(project, DockerfileProject),
            resolved=resolved,
        )

    async def _image(self, job: Job, image: ImageSource) -> Made:
        await job.on_stage(Stage.BUILDING)
        await job.on_recipe("", None)
        found = await images.inspect(self._engine, image.reference)
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
        return Made(
            BuiltImage(
                found["Id"], resolved | speech.from_image(found.get("Config") or {})
            ),
            job.tag,
        )

    async def _buildx_build(
        self, job: Job, text: str, *, base: str | None, work: Path, context: Path
    ) -> None:
        await job.on_recipe(text, base)
        dockerfile, bundle = work / "Dockerfile", self._settings.ca_bundle
        # Our own base knows the certificates; a repository's own Dockerfile is lent them.
        lent = base is None and await asyncio.to_thread(bundle.is_file)
        await asyncio.to_thread(dockerfile.write_text, trusting(text) if lent else text)
        command = BuildxCommand(
            tag=job.tag,
            dockerfile=dockerfile,
            context=context,
            labels={
                labels.OWNER: self._owner,
                labels.SERVER: str(job.request.server_id),
                labels.DEPLOYMENT: str(job.request.deployment_id),
            },
            builder=self._settings.buildx_builder,
            secrets={CA_SECRET: bundle} if lent else {},
            build_arguments=process.proxies(),
        )
        await self._buildx.build(
            command, job.request.source, on_line=job.say, mark=job.mark
        )

    async def _made(
        self, job: Job, *, has_resolved: bool, resolved: dict[str, object]
    ) -> Made:
        """Return what buildx made under the job's tag, by its id."""
        found = await images.inspect(self._engine, job.tag)
        if found is None:
            raise BuildFailedError(
                "The build ended well, but its image is not on this box.",
                hint="Redeploy the server.",
            )
        deployment_id, lock_text = job.request.deployment_id, ""
        if has_resolved:
            await images.remove_helpers(
                self._engine, owner=self._owner, deployment_id=deployment_id
            )
            read, lock_text = await images.read_resolved(
                self._engine,
                found["Id"],
                owner=self._owner,
                deployment_id=deployment_id,
            )
            resolved = {**read, **resolved}
        return Made(BuiltImage(found["Id"], resolved), job.tag, lock_text)


def _speech(checkout: Checkout, project: object) -> dict[str, object]:
    exposed = (
        speech.exposed_ports(project.text)
        if isinstance(project, DockerfileProject)
        else []
    )
    return speech.from_sources(checkout.sources, exposed=exposed)
