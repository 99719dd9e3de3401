"""The Dockerfile of one server: shown, taken over, and given back."""

from dataclasses import dataclass, replace
from enum import StrEnum

from appliance.accounts.model import Principal
from appliance.builds import taken_over
from appliance.builds.dockerfile import package_dockerfile
from appliance.builds.dockerfile_warnings import Caution, warnings
from appliance.builds.own_dockerfile import parse
from appliance.core.errors import InvalidError
from appliance.servers.errors import NoBuildError
from appliance.servers.service import ServerService, ServerView
from appliance.sources.model import ArchiveSource, GitSource, PackageSource


class Origin(StrEnum):
    """Where a Dockerfile comes from."""

    #: Written for this server.
    OWN = "own"
    REPOSITORY = "repository"
    GENERATED = "generated"
    #: Not known before the first build, or there is none: a ready image, a remote server.
    NONE = "none"


@dataclass(frozen=True)
class DockerfileView:
    """What the next build is made by, as far as it is known."""

    origin: Origin
    #: To be edited: without what changes from build to build.
    text: str
    #: Whether there may be one written for this server.
    may_be_own: bool
    warnings: tuple[Caution, ...] = ()


class ServerDockerfiles:
    """Shows and changes servers' Dockerfiles on behalf of a principal."""

    def __init__(self, servers: ServerService) -> None:
        """Keep the service that knows the servers."""
        self._servers = servers

    async def get(self, principal: Principal, server: int | str) -> DockerfileView:
        """Return the Dockerfile.

        Raises:
            ServerNotFoundError: There is no server that the principal may know of.
        """
        view = await self._servers.get(principal, server)
        if not _is_built(view):
            return DockerfileView(Origin.NONE, "", may_be_own=False)
        origin, text = await self._text(principal, view)
        is_written = origin in {Origin.OWN, Origin.REPOSITORY}
        found = warnings(parse(text)) if is_written else ()
        return DockerfileView(origin, text, may_be_own=True, warnings=found)

    async def _text(self, principal: Principal, view: ServerView) -> tuple[Origin, str]:
        if own := view.server.config.dockerfile:
            return Origin.OWN, own
        if isinstance(source := view.server.source, PackageSource):
            text = package_dockerfile(taken_over.BASE, source, resolved_for="")
            return Origin.GENERATED, taken_over.portable(text)
        try:
            build = await self._servers.build(principal, view.server.id)
        except NoBuildError:
            return Origin.NONE, ""
        was_own = view.newest is not None and view.newest.config.dockerfile
        if was_own or not build.dockerfile:
            return Origin.NONE, ""
        if build.base_image:
            return Origin.GENERATED, taken_over.portable(build.dockerfile)
        return Origin.REPOSITORY, build.dockerfile

    async def take_over(
        self, principal: Principal, server: int | str, text: str
    ) -> ServerView:
        """Build the server by ``text`` from now on, in the same context, and redeploy it.

        Raises:
            InvalidError: It is no Dockerfile, or the server is not built here.
            ServerNotFoundError: There is no server that the principal may know of.
            NotAllowedError: They may not change it.
        """
        view = await self._servers.get(principal, server)
        if not _is_built(view):
            raise InvalidError.field(
                taken_over.FIELD,
                "this server is not built here; a package, a repository or an archive is",
            )
        return await self._write(
            principal, view, taken_over.check(text), "server.dockerfile_set"
        )

    async def give_back(self, principal: Principal, server: int | str) -> ServerView:
        """Build the server by the generated Dockerfile, or the repository's own, again; without change nothing happens.

        Raises:
            ServerNotFoundError: There is no server that the principal may know of.
            NotAllowedError: They may not change it.
        """
        view = await self._servers.get(principal, server)
        return await self._write(principal, view, "", "server.dockerfile_reset")

    async def _write(
        self, principal: Principal, view: ServerView, text: str, action: str
    ) -> ServerView:
        config = replace(view.server.config, dockerfile=text)
        return await self._servers.configure(
            principal, view.server.id, config, action=action
        )


def _is_built(view: ServerView) -> bool:
    return isinstance(view.server.source, PackageSource | GitSource | ArchiveSource)
