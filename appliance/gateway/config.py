"""What the gateway's processes need of the settings, readable without the settings' libraries."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from appliance.core.cards import site
from appliance.core.ids import derived_key, internal_key, key_hash
from appliance.core.oauth import SCOPES
from appliance.infra.connections import connection_arguments
from appliance.infra.memory_files import MemoryFiles, memory_root
from appliance.infra.releases import own_command, this_release

if (
    TYPE_CHECKING
):  # the lean process that reads this configuration never loads the settings' libraries
    from appliance.settings import Settings

DEFAULT_PORTS = {"http": 80, "https": 443}

#: A listener that waits for a dead host would never hear of a change again: it asks every half minute.
_DATABASE = {
    "application_name": "mcp-host-gateway",
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


@dataclass(frozen=True)
class OAuthConfig:
    """What the gateway has to know of the authorization server, and of its own names."""

    #: Empty: the built-in one.
    issuer: str = ""
    #: Of every token of that issuer; empty: the endpoint's URL.
    audience: str = ""
    user_claim: str = "email"
    #: For reading and for calling, as that issuer calls them; empty: its tokens are not narrowed.
    scopes: tuple[str, ...] = ()
    #: Whether clients may register themselves.
    registers: bool = True
    #: Where people reach the hub, and clients the gateway; empty: under any name.
    public_url: str = ""
    gateway_public_url: str = ""
    hub_port: int = 3000


@dataclass(frozen=True)
class GatewayConfig:
    """Everything that master, workers and bridge are told. Keys are derived: ``JWT_SECRET`` itself stays outside."""

    host: str
    port: int
    gateway_url: str
    #: Host names, without port, under which browsers may reach the gateway.
    own_hosts: tuple[str, ...]
    database: dict[str, str]
    bridge_socket: str
    docker_host: str | None
    workers: int
    timeout_s: float
    graceful_timeout_s: float
    keepalive_s: float
    start_timeout_s: float
    max_requests: int
    max_requests_jitter: int
    preload: bool
    max_body_bytes: int
    #: Of containers that sessions of stdio servers have for themselves.
    sessions_per_server: int
    sessions_per_principal: int
    session_idle_s: float
    #: Of a person's key without limits of its own: ``calls_per_second`` and ``concurrency``; 0: no limit.
    key_limits: dict[str, float]
    remote_allow_private: bool
    #: Whether calls are recorded at all, how much of their bodies, and the bounds of what waits for the database.
    traces: bool
    trace_body_bytes: int
    trace_spool: str
    trace_spool_bytes: int
    log_level: str
    log_format: str
    #: The box's own name, which starts the names of its servers in cards and catalogs.
    domain: str
    #: Where clients reach the gateway, for the addresses in cards and catalogs.
    public_url: str
    #: Where people reach the hub, to be told to those who have to go there.
    hub_url: str
    #: SHA-256 of the hub's own key, hex.
    internal_key_hash: str
    #: Signs session ids, hex.
    session_key: str
    #: Where its sockets live, and where it shows that it is alive; empty: nobody watches.
    run_dir: str = ""
    #: Seconds without a sign of life after which one of its processes is ended.
    watchdog_patience_s: float = 30
    #: Where values lie in memory that must not be shown; empty: nowhere.
    memory_root: str = ""
    #: Whose word about those whom they ask for counts, as the setting says it.
    trusted_proxies: str = ""
    oauth: OAuthConfig = OAuthConfig()
    #: The version of the program, and the argv that starts the gateway of the release that counts.
    release: str = ""
    command: tuple[str, ...] = ()
    #: Below it, each label is a server's name; empty: there is no such name.
    base_domain: str = ""
    #: Where the front door listens, as addresses of domains have it: with its colon; empty: where https is.
    https_port: str = ""

    def to_json(self) -> str:
        """Return the text that ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "GatewayConfig":
        """Return the configuration that ``to_json`` wrote."""
        values: dict[str, Any] = json.loads(text)
        values["own_hosts"] = tuple(values["own_hosts"])
        values["command"] = tuple(values["command"])
        oauth = values["oauth"]
        values["oauth"] = OAuthConfig(**oauth | {"scopes": tuple(oauth["scopes"])})
        return cls(**{item.name: values[item.name] for item in fields(cls)})


def from_settings(settings: "Settings", database_url: str) -> GatewayConfig:
    """Return the gateway's part of ``settings``."""
    secret = settings.jwt_secret.get_secret_value().encode()
    url = urlsplit(settings.mcp_gateway_url)
    at = site(
        settings.public_url, settings.gateway_public_url or settings.mcp_gateway_url
    )
    return GatewayConfig(
        host=settings.gateway_bind_address,
        port=url.port or DEFAULT_PORTS.get(url.scheme, DEFAULT_PORTS["http"]),
        gateway_url=settings.mcp_gateway_url,
        own_hosts=_own_hosts(settings),
        trusted_proxies=settings.believed_proxies,
        run_dir=str(settings.run_dir.absolute()),
        watchdog_patience_s=settings.watchdog_patience,
        database=_DATABASE | connection_arguments(database_url),
        bridge_socket=str(settings.bridge_socket),
        docker_host=settings.docker_host,
        workers=settings.gw_workers,
        timeout_s=settings.gw_timeout,
        graceful_timeout_s=settings.gw_graceful_timeout,
        keepalive_s=settings.gw_keepalive,
        start_timeout_s=settings.start_timeout,
        max_requests=settings.gw_max_requests,
        max_requests_jitter=settings.gw_max_requests_jitter,
        preload=settings.gw_preload,
        max_body_bytes=settings.gw_max_body_bytes,
        sessions_per_server=settings.gw_sessions_per_server,
        sessions_per_principal=settings.gw_sessions_per_principal,
        session_idle_s=settings.gw_session_idle,
        key_limits={
            "calls_per_second": settings.gw_key_calls_per_second,
            "concurrency": settings.gw_key_concurrency,
        },
        remote_allow_private=settings.remote_allow_private,
        traces=settings.gw_traces,
        trace_body_bytes=settings.gw_trace_body_bytes,
        trace_spool=str(settings.trace_spool),
        trace_spool_bytes=settings.gw_trace_spool_bytes,
        log_level=settings.gw_log_level or settings.log_level,
        log_format=settings.log_format,
        domain=at.domain,
        public_url=at.gateway_url,
        hub_url=settings.public_url or f"http://127.0.0.1:{settings.bind_port}",
        internal_key_hash=key_hash(internal_key(secret)).hex(),
        session_key=derived_key(secret, "gateway-sessions").hex(),
        memory_root=str(
            memory_root(settings.run_dir, settings.secrets_delivery_dir) or ""
        ),
        oauth=_oauth(settings),
        release=this_release().version,
        command=tuple(own_command("gateway")),
        base_domain=(settings.base_domain or "") if settings.proxy_enabled else "",
        https_port=""
        if settings.proxy_https_port == DEFAULT_PORTS["https"]
        else f":{settings.proxy_https_port}",
    )


def memory_files(config: GatewayConfig) -> MemoryFiles:
    """Return where the values are that must not be shown."""
    return MemoryFiles(Path(config.memory_root) if config.memory_root else None)


def handshake_directory(bridge_socket: str) -> Path:
    """Return where the bridge keeps what servers said when they were opened."""
    return Path(bridge_socket).parent / "bridge"


def departures_directory(bridge_socket: str) -> Path:
    """Return where workers tell what they still carry at instances that are left."""
    return Path(bridge_socket).parent / "departures"


def _oauth(settings: "Settings") -> OAuthConfig:
    return OAuthConfig(
        issuer=settings.oauth_issuer or "",
        audience=settings.oauth_audience or "",
        user_claim=settings.oauth_user_claim,
        scopes=_scopes(settings.oauth_scopes) if settings.oauth_issuer else SCOPES,
        registers=settings.oauth_registration,
        public_url=settings.public_url or "",
        gateway_public_url=settings.gateway_public_url or "",
        hub_port=settings.bind_port,
    )


def _scopes(text: str) -> tuple[str, ...]:
    return () if text.strip() == "none" else tuple(text.split())


def _own_hosts(settings: "Settings") -> tuple[str, ...]:
    urls = [
        settings.mcp_gateway_url,
        settings.gateway_public_url or "",
        settings.public_url or "",
    ]
    names = {urlsplit(url).hostname for url in urls} | {settings.gateway_bind_address}
    return tuple(sorted(name for name in names if name))
