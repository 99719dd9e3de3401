"""Which peer speaks to which kind of server: one entry a transport."""

from dataclasses import dataclass

from appliance.gateway.bridge.engine import Engine
from appliance.gateway.bridge.handshake import HandshakeFiles
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.bridge.peers.registry import Factory, Peers
from appliance.gateway.bridge.stdio import StdioServer
from appliance.gateway.config import GatewayConfig
from appliance.gateway.http.upstream import Upstreams
from appliance.gateway.routes import LiveTable, Route


@dataclass(frozen=True)
class Means:
    """What peers are made with."""

    config: GatewayConfig
    table: LiveTable
    engine: Engine
    files: HandshakeFiles
    upstreams: Upstreams


def make_peers(means: Means) -> Peers:
    """Return the registry of all peers."""
    factories: dict[str, Factory] = {}
    peers = Peers(factories)
    factories["stdio"] = lambda route: _stdio(means, route)
    return peers


def _stdio(means: Means, route: Route) -> Peer:
    return StdioServer(
        route.container_id,
        means.engine,
        means.files,
        line_limit=means.config.max_body_bytes,
        start_timeout_s=means.config.start_timeout_s,
    )
