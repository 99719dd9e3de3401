"""Publishes builds: one push for each platform, then the manifest list under its tag. This is the ``Publisher`` of builds."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

import aiodocker
import aiohttp
import structlog

from appliance.core.images import (
    CredentialOutcome,
    PlatformImage,
    Published,
    PublishedPlatform,
)
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.infra.errors import EngineUnavailableError
from appliance.registry.attempts import Attempts, Keeper, Reporter
from appliance.registry.auth import Credentials
from appliance.registry.client import RegistryClient
from appliance.registry.door import LOOPBACK, MARK, Door
from appliance.registry.lists import publish_list
from appliance.registry.model import Target, is_plain, parse_target, push_scopes
from appliance.registry.push import Push
from appliance.registry.retries import Patience
from appliance.registry.telemetry import Event
from appliance.settings import Settings

log = structlog.get_logger("registry.push")

#: Seconds that a start waits for the engine to name its images.
SWEEP_S = 5.0

Say = Callable[[str], None]


class PushKeeper(Keeper, Protocol):
    """What a push needs of the one who keeps the credentials."""

    async def before_push(
        self, server_id: int, scopes: tuple[str, ...]
    ) -> CredentialOutcome:
        """Look at the credentials, and replace them if that is due."""
        ...


class Request(Protocol):
    """What is to be published; builds' own ``PublishRequest``."""

    @property
    def server_id(self) -> int:
        """Whose metrics tell of it."""
        ...

    @property
    def server_name(self) -> str:
        """Names the repository."""
        ...

    @property
    def deployment_id(self) -> int:
        """Names the tag."""
        ...

    @property
    def images(self) -> tuple[PlatformImage, ...]:
        """One for each platform."""
        ...


#: Told of everything that was published: server, deployment, what.
AfterPublish = Callable[[int, int, Published], Awaitable[None]]


@dataclass(frozen=True)
class _Publication:
    """One request on its way."""

    request: Request
    repository: str
    tag: str
    reporter: Reporter
    outcome: CredentialOutcome


class RegistryService:
    """The registry that this box pushes to, if there is one.

    Args:
        owner: This installation's id.
        keeper: Of the credentials.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        settings: Settings,
        *,
        owner: str,
        keeper: PushKeeper,
    ) -> None:
        """Keep the parts; nothing is asked yet."""
        self.target: Target | None = (
            parse_target(settings.registry) if settings.registry else None
        )
        self._database = database
        self._engine = engine
        self._owner = owner
        self._keeper = keeper
        self._after: AfterPublish | None = None
        self._patience = Patience(
            settings.registry_push_retries, settings.registry_push_pause
        )
        self._timeout_s = settings.registry_timeout
        self._insecure = tuple(
            item.strip() for item in settings.registry_insecure.split(",")
        )
        self._door = Door(owner, port=settings.registry_door_port)
        self._session: aiohttp.ClientSession | None = None

    @property
    def is_configured(self) -> bool:
        """Whether there is a registry; without one, images stay on this box."""
        return self.target is not None

    def client(self) -> RegistryClient:
        """Return what speaks to the registry, with the credentials in force at each request.

        Raises:
            LookupError: There is no registry.
        """
        target = self._target()
        is_local = is_plain(target.host, self._insecure)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A proxy of the site leads out, not to this box itself.
                trust_env=not is_plain(target.host),
            )

        async def credentials() -> Credentials | None:
            return await self._keeper.current(target.host)

        return RegistryClient(
            self._session,
            target.host,
            credentials=credentials,
            plain=is_local,
            timeout_s=self._timeout_s,
        )

    def on_published(self, after: AfterPublish) -> None:
        """Have ``after`` told of everything that is published."""
        self._after = after

    def tag(self, deployment_id: int) -> str:
        """Return the tag of a deployment's manifest list; other installations may push to the same place."""
        return f"{self._owner}-{deployment_id}"

    async def close(self) -> None:
        """Hang up."""
        await self._door.close()
        if self._session is not None:
            await self._session.close()

    async def sweep(self) -> None:
        """Take away the names that pushes of a killed hub left on images."""
        prefix = f"{MARK}-{self._owner}-"
        with contextlib.suppress(EngineUnavailableError, aiodocker.DockerError):
            async with self._engine.reach(timeout_s=SWEEP_S) as client:
                for image in await client.images.list():
                    for name in image.get("RepoTags") or ():
                        host, _, rest = name.partition("/")
                        if host.startswith(f"{LOOPBACK}:") and rest.startswith(prefix):
                            await client.images.delete(name)

    async def publish(self, request: Request, say: Say) -> Published:
        """Push every image by digest, put the list together under its tag, and verify it.

        Done again it sends only what is not there, and comes to the same digests. Cancelling the task ends it.

        Raises:
            RegistryError: It failed for good.
            EngineUnavailableError: The engine went away.
        """
        target = self._target()
        repository = target.repository(request.server_name)
        scopes = push_scopes(repository)
        outcome = await self._keeper.before_push(request.server_id, scopes)
        reporter = Reporter(
            self._database,
            request.server_id,
            target.host,
            target.reference(request.server_name),
            scopes,
            self._patience.retries,
            say,
        )
        tag = self.tag(request.deployment_id)
        publication = _Publication(request, repository, tag, reporter, outcome)
        pushed = await self._push_all(publication)
        published = await self._publish_list(publication, pushed)
        if self._after is not None:
            await self._after(request.server_id, request.deployment_id, published)
        return published

    async def _push_all(
        self, publication: _Publication
    ) -> tuple[PublishedPlatform, ...]:
        """Push all platforms at once; the first that fails for good ends the others."""
        client = self.client()
        tasks = [
            asyncio.ensure_future(self._push(publication, client, image))
            for image in publication.request.images
        ]
        try:
            return tuple(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _push(
        self, publication: _Publication, client: RegistryClient, image: PlatformImage
    ) -> PublishedPlatform:
        reporter = replace(publication.reporter, platform=image.platform)
        attempts = Attempts(client, self._keeper, self._patience, reporter)
        push = Push(self._engine, self._door, attempts, image, publication.repository)
        digest = await push.run()
        return PublishedPlatform(
            image.platform,
            f"{reporter.repository}@{digest}",
            digest,
            _with_refresh(publication.outcome, attempts.refreshed),
        )

    async def _publish_list(
        self, publication: _Publication, pushed: tuple[PublishedPlatform, ...]
    ) -> Published:
        client = self.client()
        reporter = publication.reporter
        attempts = Attempts(client, self._keeper, self._patience, reporter)

        async def put() -> str:
            reporter.attempt += 1
            return await publish_list(
                client, publication.repository, publication.tag, pushed
            )

        digest = await attempts.run(put)
        reporter.tell(f"Manifest published with digest {digest}")
        await reporter.event(
            Event.MANIFEST_PUBLISHED,
            digest=digest,
            tag=publication.tag,
            architectures=[item.platform for item in pushed],
        )
        refreshed = [item.credentials for item in pushed if _is_refreshed(item)]
        outcome = refreshed[0] if refreshed else publication.outcome
        return Published(
            repository=reporter.repository,
            tag=publication.tag,
            digest=digest,
            is_multi_arch=len(pushed) > 1,
            platforms=pushed,
            credentials=_with_refresh(outcome, attempts.refreshed),
        )

    def _target(self) -> Target:
        if self.target is None:
            raise LookupError("REGISTRY is not set.")
        return self.target


def _is_refreshed(item: PublishedPlatform) -> bool:
    return item.credentials.refresh_attempted


def _with_refresh(
    outcome: CredentialOutcome,
    refreshed: bool | None,  # noqa: FBT001 - three answers, and no flag
) -> CredentialOutcome:
    """Return the outcome with what became of a refresh; ``None``: there was none."""
    if refreshed is None:
        return outcome
    status = "healthy" if refreshed else outcome.health_status
    return replace(
        outcome,
        health_status=status,
        refresh_attempted=True,
        refresh_succeeded=refreshed,
    )
