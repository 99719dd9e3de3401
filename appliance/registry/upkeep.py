"""What people see and ask of the registry: where images go, how its credentials are, what was pushed; look, rotate, prune."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.infra.database import Database
from appliance.observability import audit
from appliance.observability.audit import Actor
from appliance.registry import store
from appliance.registry.credentials import CredentialKeeper
from appliance.registry.errors import (
    RegistryNotConfiguredError,
    RotationNotConfiguredError,
)
from appliance.registry.health import CredentialHealth
from appliance.registry.prune_service import enqueue_prune
from appliance.registry.publications import Publication, RegistryEvent
from appliance.registry.tasks import enqueue_check, enqueue_rotation
from appliance.settings import Settings

_ROTATIONS = (
    "auth_rotation_succeeded",
    "auth_rotation_failed",
    "auth_rotation_skipped",
    "auth_refresh_succeeded",
    "auth_refresh_failed",
)
_CHECKS = ("auth_health_reported",)
_PRUNINGS = ("manifest_prune_succeeded", "manifest_prune_failed")
#: How much of each is shown.
SHOWN = 10


@dataclass(frozen=True)
class Overview:
    """The registry at a glance."""

    #: ``host/namespace``; empty if none is configured.
    registry: str
    host: str
    #: That images are built for.
    platforms: tuple[str, ...]
    push_retries: int
    #: ``None`` if no registry is configured.
    health: CredentialHealth | None
    max_age_s: float
    last_check: RegistryEvent | None = None
    rotations: tuple[RegistryEvent, ...] = ()
    prunings: tuple[RegistryEvent, ...] = ()
    publications: tuple[Publication, ...] = ()

    @property
    def is_configured(self) -> bool:
        """Whether images are pushed at all."""
        return bool(self.registry)


class RegistryUpkeep:
    """The registry of this box, as its administrators know it."""

    def __init__(
        self, database: Database, settings: Settings, keeper: CredentialKeeper
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._settings = settings
        self._keeper = keeper

    @property
    def is_configured(self) -> bool:
        """Whether images are pushed at all."""
        return bool(self._keeper.host)

    async def health(self) -> CredentialHealth | None:
        """Return how the credentials are; ``None``: there is no registry."""
        host = self._keeper.host
        return await self._keeper.health(host) if host else None

    async def overview(self) -> Overview:
        """Return how everything is now."""
        health = await self.health()
        return await self._database.run(self._overview, health)

    def _overview(self, health: CredentialHealth | None) -> Overview:
        checks = store.events(_CHECKS, limit=1)
        return Overview(
            registry=self._settings.registry or "",
            host=self._keeper.host,
            platforms=self._settings.arch_targets or (),
            push_retries=self._settings.registry_push_retries,
            health=health,
            max_age_s=self._settings.registry_auth_max_age_seconds,
            last_check=checks[0] if checks else None,
            rotations=tuple(store.events(_ROTATIONS, limit=SHOWN)),
            prunings=tuple(store.events(_PRUNINGS, limit=SHOWN)),
            publications=tuple(store.newest_publications(SHOWN)),
        )

    async def check(self, actor: Actor) -> int:
        """Have the credentials looked at now, and return the job's id.

        Raises:
            RegistryNotConfiguredError: There is no registry.
        """
        self._demand_registry()
        return await self._database.run(self._audited, actor, "check", enqueue_check)

    async def rotate(self, actor: Actor) -> int:
        """Have the credentials rotated now, and return the job's id.

        Raises:
            RegistryNotConfiguredError: There is no registry.
            RotationNotConfiguredError: There is nothing that rotates them.
        """
        self._demand_registry()
        if not self._keeper.can_rotate:
            raise RotationNotConfiguredError(
                "Nothing gets fresh credentials on this box.",
                hint="Set REGISTRY_AUTH_REFRESH_COMMAND and REGISTRY_AUTH_DOCKERCONFIG, and restart.",
            )
        return await self._database.run(
            self._audited, actor, "rotate", enqueue_rotation
        )

    async def prune(self, actor: Actor, *, server_id: int | None = None) -> list[int]:
        """Have what nothing refers to removed, and return the jobs' ids: of one server, or of all.

        Raises:
            RegistryNotConfiguredError: There is no registry.
        """
        self._demand_registry()

        def write() -> list[int]:
            audit.record(
                actor, "registry.prune", object_type="registry", object_id=server_id
            )
            found = store.repositories(server_id)
            return [enqueue_prune(server, repository) for server, repository in found]

        return await self._database.run(write)

    def _audited(self, actor: Actor, what: str, enqueue: Callable[[], int]) -> int:
        audit.record(
            actor,
            f"registry.{what}",
            object_type="registry",
            object_name=self._keeper.host,
        )
        return enqueue()

    def _demand_registry(self) -> None:
        if not self.is_configured:
            raise RegistryNotConfiguredError(
                "This box pushes to no registry.",
                hint="Set REGISTRY to host[:port]/namespace, and restart.",
            )
