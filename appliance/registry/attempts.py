"""Tries something at the registry until it succeeds or there is no sense in trying again, and tells of it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import structlog

from appliance.infra.database import Database
from appliance.infra.patience import persist
from appliance.registry import telemetry
from appliance.registry.auth import Credentials
from appliance.registry.client import RegistryClient
from appliance.registry.errors import RegistryError
from appliance.registry.retries import Patience, may_refresh
from appliance.registry.telemetry import Event

log = structlog.get_logger("registry.push")

T = TypeVar("T")


class Keeper(Protocol):
    """Has fresh credentials, if anybody has."""

    @property
    def can_rotate(self) -> bool:
        """Whether there is something that gets fresh ones."""
        ...

    async def current(self, host: str) -> Credentials | None:
        """Return those in force."""
        ...

    async def refresh(
        self, host: str, why: str, *, refused: Credentials | None = None
    ) -> bool:
        """Get fresh ones; many may ask at once."""
        ...

    async def refuse(self) -> None:
        """Remember that the registry does not take those in force."""
        ...


@dataclass
class Reporter:
    """Tells metrics, log and build log of one platform's push, or of the list's."""

    database: Database
    server_id: int
    registry_endpoint: str
    #: ``host/namespace/name``.
    repository: str
    scopes: tuple[str, ...]
    retry_limit: int
    say: Callable[[str], None]
    #: ``None``: all of them.
    platform: str | None = None
    #: Begun so far.
    attempt: int = 0

    async def event(
        self, event: Event, error: RegistryError | None = None, **more: Any
    ) -> None:
        """Record one event."""
        fields = self.fields() | _told(error) | more
        await persist(
            self.database, telemetry.record, self.server_id, event.value, **fields
        )

    def fields(self) -> dict[str, Any]:
        """Return what every event and line says."""
        return {
            "attempt": self.attempt,
            "retry_limit": self.retry_limit,
            "registry_endpoint": self.registry_endpoint,
            "image": self.repository,
            "platform": self.platform,
            "scopes": list(self.scopes),
        }

    def log(
        self, level: str, message: str, error: RegistryError | None = None, **more: Any
    ) -> None:
        """Write one line of the log."""
        getattr(log, level)(
            message, server_id=self.server_id, **self.fields(), **_told(error), **more
        )

    def tell(self, line: str) -> None:
        """Write one line of the build's log."""
        self.say(f"{self.platform}: {line}" if self.platform else line)


def _told(error: RegistryError | None) -> dict[str, Any]:
    if error is None:
        return {}
    told: dict[str, Any] = {
        "error": error.detail,
        "error_kind": error.kind.value,
        "auth_expired": error.is_auth_expired,
    }
    if error.status is not None:
        told["status"] = error.status
    return told


@dataclass
class Attempts:
    """One thing to be done at the registry, however often it must be begun."""

    client: RegistryClient
    keeper: Keeper
    patience: Patience
    reporter: Reporter
    #: Failed attempts so far that were tried again for being transient.
    retries: int = 0
    #: What has been done against refused credentials; each helps at most once.
    has_renewed: bool = False
    refreshed: bool | None = None
    _credentials: Credentials | None = field(default=None, repr=False)

    async def run(self, action: Callable[[], Awaitable[T]]) -> T:
        """Do ``action`` until it succeeds.

        Raises:
            RegistryError: It failed for good; metrics and log know.
        """
        while True:
            self._credentials = await self.keeper.current(self.client.host)
            try:
                return await action()
            except RegistryError as error:
                if error.is_auth_expired:
                    self.reporter.log(
                        "warning", "registry authentication expired", error
                    )
                    self.reporter.tell("registry authentication expired")
                if not await self._again(error):
                    await self._give_up(error)
                    raise

    @property
    def is_retried(self) -> bool:
        """Whether it was begun more than once."""
        return bool(self.retries or self.has_renewed or self.refreshed)

    async def _again(self, error: RegistryError) -> bool:
        """Make another attempt possible and wait until it is due; ``False``: there is none."""
        if may_refresh(error):
            reason = await self._prove_anew(error)
            if reason is not None:
                await self._retry(error, reason, 0.0)
            return reason is not None
        if not error.is_transient or self.retries >= self.patience.retries:
            return False
        self.retries += 1
        pause_s = self.patience.pause_s(error, self.retries, random.random())  # noqa: S311 - no secret
        await self._retry(error, "transient", pause_s)
        return True

    async def _retry(self, error: RegistryError, reason: str, pause_s: float) -> None:
        more = {"reason": reason, "pause_s": round(pause_s, 3)}
        if error.retry_after_s is not None:
            more["retry_after_s"] = error.retry_after_s
        # The number of the attempt that this begins.
        number = self.reporter.attempt + 1
        await self.reporter.event(Event.PUSH_RETRY, error, **more, attempt=number)
        self.reporter.log("warning", "registry push retry", error, **more)
        wait = f" in {pause_s:.1f} s" if pause_s else ""
        self.reporter.tell(f"{error.detail} Trying again{wait}.")
        await asyncio.sleep(pause_s)

    async def _prove_anew(self, error: RegistryError) -> str | None:
        """Have a new token, or new credentials; return which, or ``None``."""
        if not self.has_renewed and error.is_auth_expired:
            self.has_renewed = True
            if await self.client.renew(self.reporter.scopes):
                return "token_renewed"
        if self.refreshed is None and self.keeper.can_rotate:
            self.refreshed = await self._refresh(error)
            if self.refreshed:
                return "auth_refresh"
        return None

    async def _refresh(self, error: RegistryError) -> bool:
        await self.reporter.event(Event.AUTH_REFRESH_STARTED, error)
        self.reporter.tell("Getting fresh credentials for the registry.")
        is_fresh = await self.keeper.refresh(
            self.client.host, error.kind.value, refused=self._credentials
        )
        self.client.forget_tokens()
        if is_fresh:
            await self.reporter.event(Event.AUTH_REFRESH_SUCCEEDED)
        else:
            await self.reporter.event(Event.AUTH_REFRESH_FAILED, error)
        return is_fresh

    async def _give_up(self, error: RegistryError) -> None:
        if error.is_auth_expired:
            await self.keeper.refuse()
        await self.reporter.event(Event.PUSH_FAILED, error)
        self.reporter.log("error", "registry push failed", error)
        self.reporter.tell(f"registry push failed: {error.detail}")
