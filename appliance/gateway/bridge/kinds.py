"""Which peer speaks to which kind of server: one entry a transport."""

from dataclasses import dataclass

from appliance.gateway.announcements import Announcements
from appliance.gateway.bridge.bundles.memory import Memory, stored_manifests
from appliance.gateway.bridge.bundles.peer import BundlePeer
from appliance.gateway.bridge.bundles.quotas import Quotas
from appliance.gateway.bridge.calls import Caller
from appliance.gateway.bridge.containers import SessionContainers
from appliance.gateway.bridge.engine import Engine
from appliance.gateway.bridge.handshake import HandshakeFiles
from appliance.gateway.bridge.lodging import Housing
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.bridge.peers.door import Door
from appliance.gateway.bridge.peers.http_peer import HttpPeer
from appliance.gateway.bridge.peers.registry import Factory, Peers
from appliance.gateway.bridge.peers.signed_peer import SignedPeer
from appliance.gateway.bridge.peers.stdio_peer import StdioPeer
from appliance.gateway.bridge.pool import StdioPool
from appliance.gateway.bridge.sharing import Sharing
from appliance.gateway.bridge.stdio import StdioServer
from appliance.gateway.config import GatewayConfig, memory_files
from appliance.gateway.http.upstream import Upstreams
from appliance.gateway.routes import BUNDLE, LiveTable, Route


@dataclass(frozen=True)
class Means:
    """What peers are made with."""

    config: GatewayConfig
    table: LiveTable
    engine: Engine
    files: HandshakeFiles
    containers: SessionContainers
    upstreams: Upstreams
    announcements: Announcements


def make_peers(means: Means) -> Peers:
    """Return the registry of all peers."""
    factories: dict[str, Factory] = {}
    peers = Peers(factories)
    for transport in ("streamable-http", "sse"):
        factories[transport] = lambda route: _http(means, route)
    factories["stdio"] = lambda route: _stdio(means, route)
    memory = Memory(stored_manifests(means.config.database))
    quotas = Quotas()
    factories[BUNDLE] = lambda route: BundlePeer(
        route,
        means.table,
        peers,
        memory,
        quotas=quotas,
        held_back=means.announcements.changed,
    )
    return peers


def _http(means: Means, route: Route) -> Peer:
    door = Door(means.upstreams, route, means.config.max_body_bytes)
    peer = HttpPeer(door, means.config.start_timeout_s)
    return SignedPeer(route, peer) if route.signin else peer


def _stdio(means: Means, route: Route) -> Peer:
    config = means.config
    memory = memory_files(config)

    def server(container_id: str, owner: Caller | None = None) -> StdioServer:
        return StdioServer(
            container_id,
            means.engine,
            means.files,
            line_limit=config.max_body_bytes,
            start_timeout_s=config.start_timeout_s,
            owner=owner,
            changed=lambda: means.announcements.changed(route.name),
            hider=lambda: memory.hider(route.server_id),
        )

    sharing = Sharing(
        mode=route.session_mode,
        per_server=config.sessions_per_server,
        per_principal=config.sessions_per_principal,
        idle_s=config.session_idle_s,
    )
    pool = StdioPool(
        server(route.container_id),
        Housing(route.container_id, means.containers, server),
        sharing,
        means.files,
    )
    return StdioPeer(pool)
