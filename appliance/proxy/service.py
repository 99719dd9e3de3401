"""What administrators see and ask of the front door."""

from dataclasses import dataclass

from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.observability import audit
from appliance.observability.audit import Actor
from appliance.proxy import store
from appliance.proxy.errors import FrontDoorOffError
from appliance.proxy.model import DoorState
from appliance.proxy.verdict import Verdict, judge
from appliance.settings import Settings


@dataclass(frozen=True)
class Overview:
    """The front door at a glance."""

    is_enabled: bool
    verdict: Verdict
    #: ``None``: nobody has looked yet.
    state: DoorState | None
    #: Of the hub; the first is the one that is told.
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    http_port: int
    https_port: int
    #: What one address may do; 0: any number.
    requests_per_second: int
    burst: int
    connections: int
    hsts_seconds: int


class FrontDoorService:
    """The front door of this box."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Keep the parts."""
        self._database = database
        self._settings = settings

    async def verdict(self) -> Verdict:
        """Return how it is."""
        is_enabled = self._settings.proxy_enabled
        state = await self._database.run(store.get) if is_enabled else None
        return judge(state, now(), is_enabled=is_enabled)

    async def overview(self) -> Overview:
        """Return everything."""
        settings = self._settings
        state = await self._database.run(store.get)
        return Overview(
            is_enabled=settings.proxy_enabled,
            verdict=judge(state, now(), is_enabled=settings.proxy_enabled),
            state=state if settings.proxy_enabled else None,
            names=settings.box_names,
            addresses=tuple(settings.proxy_bind_addresses.split(",")),
            http_port=settings.proxy_http_port,
            https_port=settings.proxy_https_port,
            requests_per_second=settings.proxy_requests_per_second,
            burst=settings.proxy_request_burst,
            connections=settings.proxy_connections_per_address,
            hsts_seconds=settings.proxy_hsts_seconds,
        )

    async def reload(self, actor: Actor) -> Overview:
        """Have Nginx read everything again, with no request lost; the controller does it within seconds, or a minute.

        Raises:
            FrontDoorOffError: There is none, or its controller has never been there.
        """
        if not self._settings.proxy_enabled:
            raise FrontDoorOffError(
                "This box has no front door of its own.",
                hint="Set PROXY_ENABLED=true, and restart.",
            )

        def write() -> bool:
            audit.record(actor, "front_door.reload", object_type="front_door")
            return store.ask_for_reload(now())

        if not await self._database.run(write):
            raise FrontDoorOffError(
                "The controller of the front door has never run here.",
                hint="Look at mcp-host status, and at proxy.log in DATA_DIR/log.",
            )
        return await self.overview()
