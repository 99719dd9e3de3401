"""What the egress process needs of the settings, readable without the settings' libraries."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from appliance.core.egress import bridge_prefix
from appliance.infra.heartbeat import heartbeat_file

if TYPE_CHECKING:  # the lean process never loads the settings' libraries
    from appliance.settings import Settings

#: At which the Docker engine's API listens by custom.
ENGINE_PORTS = (2375, 2376)
_DATABASE = {
    "application_name": "mcp-host-egress",
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


@dataclass(frozen=True)
class EgressConfig:
    """Everything that the process is told."""

    database: dict[str, str]
    #: Of the names of this installation's bridges.
    prefix: str
    #: Range that servers' networks are cut from.
    pool: str
    #: Ports of this box that no server reaches, whatever is allowed: the hub's, the gateway's, the engine's, Postgres'.
    own_ports: tuple[int, ...]
    #: What was known when Postgres was there last.
    state_file: str
    #: For names and for connections; 0: any free one.
    port: int = 0
    #: Where it shows that it is alive; empty: nobody watches.
    beat_file: str = ""

    def to_json(self) -> str:
        """Return it as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return what ``to_json`` wrote."""
        data = json.loads(text)
        return cls(**data | {"own_ports": tuple(data["own_ports"])})


def from_settings(
    settings: "Settings", database: dict[str, str], *, owner: str
) -> EgressConfig:
    """Return what the process is told.

    Args:
        database: libpq keywords.
        owner: This installation's id.
    """
    addresses = [settings.mcp_gateway_url, settings.docker_host or ""]
    ports = {settings.bind_port, *ENGINE_PORTS, int(database.get("port") or 5432)}
    ports |= {port for item in addresses if (port := urlsplit(item).port)}
    return EgressConfig(
        database=database | _DATABASE,
        prefix=bridge_prefix(owner),
        pool=settings.server_subnet_pool,
        own_ports=tuple(sorted(ports)),
        state_file=str(settings.run_dir.absolute() / "egress.json"),
        beat_file=str(heartbeat_file(settings.run_dir, "egress")),
        port=settings.egress_port,
    )
