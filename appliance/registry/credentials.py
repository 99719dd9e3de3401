"""The credentials of the one registry that this box pushes to: what they are, how they are, and fresh ones in time.

Every outcome is a row of ``registry_events`` and, where a push asked, one of ``usage_metrics`` under the same name.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from appliance.core.clock import now
from appliance.core.images import CredentialOutcome
from appliance.infra.database import Database
from appliance.registry import store, telemetry
from appliance.registry.auth import Credentials
from appliance.registry.credential_file import CredentialFile
from appliance.registry.dockerconfig import DockerConfigError, expiry_of
from appliance.registry.errors import ErrorKind
from appliance.registry.health import (
    CredentialHealth,
    CredentialStatus,
    Limits,
    anonymous,
    judge,
    missing,
)
from appliance.registry.rotation import Refresher, RefreshFailedError
from appliance.settings import Settings

log = structlog.get_logger("registry.push")

#: A rotation ahead of time that failed is not tried again for so many seconds: every push would wait for it.
PAUSE_S = 60.0


@dataclass(frozen=True)
class Asker:
    """For whom credentials are looked at."""

    #: Whose push; ``None``: the clock's look, or a person's.
    server_id: int | None = None
    scopes: tuple[str, ...] = ()
    #: Whether a rotation is wanted however the credentials are.
    is_forced: bool = False


class CredentialKeeper:
    """Keeps the registry's credentials usable.

    Args:
        database: Takes the outcomes, and the lock between processes.
        settings: Names file, limits and command.
        host: The registry; empty if none is configured.
    """

    def __init__(self, database: Database, settings: Settings, *, host: str) -> None:
        """Keep the parts; nothing is read yet."""
        self.host = host
        self._database = database
        self._retry_limit = settings.registry_push_retries
        self._limits = Limits(
            timedelta(seconds=settings.registry_auth_max_age_seconds),
            timedelta(seconds=settings.registry_auth_rotate_lead_seconds),
        )
        path = settings.registry_auth_dockerconfig
        self._file = CredentialFile(path) if path is not None else None
        self._refresher = self._make_refresher(settings)
        #: Stamp of the file whose credentials the registry itself did not take.
        self._refused = ""
        self._paused_until = float("-inf")
        #: Why the last rotation failed; empty: it did not.
        self.last_failure = ""

    def _make_refresher(self, settings: Settings) -> Refresher | None:
        command = settings.registry_auth_refresh_command
        if command is None or self._file is None:
            return None
        timeout_s = settings.registry_auth_refresh_timeout
        return Refresher(self._database, self._file, command, timeout_s=timeout_s)

    @property
    def can_rotate(self) -> bool:
        """Whether there is a program that gets fresh credentials, and a file to put them into."""
        return self._refresher is not None

    async def current(self, host: str) -> Credentials | None:
        """Return the credentials for ``host``; ``None``: there are none that can be used, ``health`` says why."""
        if self._file is None:
            return None
        try:
            return (await asyncio.to_thread(self._file.read, host)).credentials
        except DockerConfigError as error:
            log.warning("registry credentials unusable", host=host, reason=error.reason)
            return None

    async def health(self, host: str) -> CredentialHealth:
        """Return how the credentials for ``host`` are, without asking the registry."""
        if self._file is None:
            return anonymous(host)
        try:
            stored = await asyncio.to_thread(self._file.read, host)
        except DockerConfigError as error:
            return missing(host, error.reason, rotation_configured=self.can_rotate)
        if stored.stamp == self._refused:
            return missing(
                host,
                f"{host} does not take them any more.",
                rotation_configured=self.can_rotate,
                refused=True,
            )
        return judge(
            host,
            issued_at=stored.issued_at,
            ends_at=expiry_of(stored.credentials),
            now=now(),
            limits=self._limits,
            rotation_configured=self.can_rotate,
        )

    async def refuse(self) -> None:
        """Remember that the registry does not take the credentials that are in the file now."""
        if self._file is not None:
            self._refused = await asyncio.to_thread(self._file.stamp)

    def accept(self) -> None:
        """Remember that the registry takes them: a refusal before was its own mistake, or is mended."""
        self._refused = ""

    async def refresh(
        self, host: str, why: str, *, refused: Credentials | None = None
    ) -> bool:
        """Have fresh credentials, and tell whether there are; never raises because there are none.

        However many ask at once, the command runs once.

        Args:
            why: For the record, in a word or two.
            refused: Those that the registry did not take; if the file has others by now, they are fresh.
        """
        if self._refresher is None:
            return False
        if refused is not None:
            held = await self.current(host)
            if held is not None and held != refused:
                return True
        await self._keep("auth_refresh_started", host, {"why": why})
        try:
            await self._refresher.refresh(host)
        except RefreshFailedError as error:
            details = {"why": why, "reason": error.reason}
            await self._keep("auth_refresh_failed", host, details)
            log.warning("registry refresh failed", host=host, reason=error.reason)
            return False
        await self._keep("auth_refresh_succeeded", host, {"why": why})
        return True

    async def before_push(
        self, server_id: int, scopes: Iterable[str]
    ) -> CredentialOutcome:
        """Look at the credentials that a push is going to use, and replace them if that is due.

        A rotation that fails does not hold the push up: the old ones may do.
        """
        asker = Asker(server_id, tuple(scopes))
        before, is_rotated = await self.look(asker)
        after = await self.health(self.host) if is_rotated else before
        return CredentialOutcome(
            health_status=after.status.value,
            rotation_attempted=is_rotated is not None,
            rotation_succeeded=bool(is_rotated),
        )

    async def look(
        self, asker: Asker, *, trouble: str = ""
    ) -> tuple[CredentialHealth, bool | None]:
        """Report how the credentials are, and rotate them if that is due.

        Args:
            trouble: Why the registry itself could not be asked, for the report.

        Returns:
            How they were, and whether the rotation succeeded; ``None``: there was none.
        """
        health = await self.health(self.host)
        await self._tell("auth_health_reported", health, asker, trouble=trouble)
        if health.is_auth_expired:
            log.warning(
                "registry authentication expired",
                server_id=asker.server_id,
                registry_endpoint=self.host,
                scopes=asker.scopes,
            )
        if not (health.rotation_recommended or asker.is_forced):
            return health, None
        if reason := self._why_not(health, asker):
            await self._tell("auth_rotation_skipped", health, asker, reason=reason)
            return health, None
        return health, await self._rotate(health, asker)

    def _why_not(self, health: CredentialHealth, asker: Asker) -> str:
        if self._refresher is None:
            return "not_configured"
        is_early = health.status is CredentialStatus.EXPIRING and not asker.is_forced
        if is_early and time.monotonic() < self._paused_until:
            return "failed_recently"
        return ""

    async def _rotate(self, health: CredentialHealth, asker: Asker) -> bool:
        assert self._refresher is not None  # noqa: S101 - _why_not has looked
        await self._tell("auth_rotation_started", health, asker)
        try:
            await self._refresher.refresh(self.host)
        except RefreshFailedError as error:
            self._paused_until = time.monotonic() + PAUSE_S
            self.last_failure = error.reason
            kind = ErrorKind.AUTH_EXPIRED.value if health.is_auth_expired else None
            await self._tell(
                "auth_rotation_failed",
                health,
                asker,
                reason=error.reason,
                error_kind=kind,
            )
            return False
        after = await self.health(self.host)
        await self._tell("auth_rotation_succeeded", after, asker)
        return True

    async def _tell(
        self, event: str, health: CredentialHealth, asker: Asker, **more: Any
    ) -> None:
        details = {
            "retry_limit": self._retry_limit,
            "registry_endpoint": self.host,
            "scopes": list(asker.scopes),
            **health.fields(),
            "problem": health.problem,
            **more,
        }
        await self._keep(event, self.host, details, server_id=asker.server_id)
        log.info(event, server_id=asker.server_id, **details)

    async def _keep(
        self,
        event: str,
        host: str,
        details: Mapping[str, Any],
        *,
        server_id: int | None = None,
    ) -> None:
        def write() -> None:
            store.add_event(event, host, details, server_id=server_id)
            if server_id is not None:
                telemetry.record(server_id, event, **details)

        await self._database.run(write)
