"""The only reader of the environment.

A value comes from, in this order: the process's environment, the file named by ``MCP_HOST_ENV_FILE`` or else ``.env`` in the
working directory, the YAML file named by
``MCP_HOST_CONFIG``, the default. Keys that nothing here names are errors in ``.env`` and in the YAML file; the process's
environment also carries other programs' variables, so there they are ignored. An empty value means unset, as
compose files write it.

``docs/configuration.md`` is generated from the fields: a description is the documentation of its variable.
"""

import json
import os
import re
import socket
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from dotenv import dotenv_values
from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from appliance.core.dns import addresses_of, resolvers_of
from appliance.core.front_door import (
    is_host_name,
    is_one_address,
    listen_addresses,
)
from appliance.core.groups import org_rules, role_rules
from appliance.core.oauth import SCOPES, is_issuer, is_safe_issuer
from appliance.core.platforms import platforms_of
from appliance.core.proxies import LOOPBACK, networks_of
from appliance.core.registry_names import split_registry

MIN_SECRET_BYTES = 32
LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
_ORIGIN = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+")

Port = Annotated[int, Field(ge=1, le=65535)]
LogLevel = Literal["debug", "info", "warning", "error"]
Seconds = Annotated[float, Field(gt=0)]


class SettingsError(Exception):
    """The configuration is wrong; the text names each variable and says what would be right."""


def _inside(values: dict[str, Any]) -> str:
    # Where our own Nginx stands before it, nobody else has to reach it.
    return "127.0.0.1" if values.get("proxy_enabled") else "0.0.0.0"  # noqa: S104 - documented default


def _default_gateway_public_url(values: dict[str, Any]) -> str | None:
    # Behind our own Nginx, the gateway's paths are found under the hub's name.
    return values.get("public_url") if values.get("proxy_enabled") else None


def _default_data_dir() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/mcp-host")
    return (
        Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
        / "mcp-host"
    )


def _default_run_dir() -> Path:
    if os.geteuid() == 0:
        return Path("/run/mcp-host")
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return base / f"mcp-host-{os.geteuid()}"


class Settings(BaseSettings):
    """Every variable that the appliance knows; field names are the variables' names in lower case."""

    model_config = SettingsConfigDict(
        extra="forbid",
        case_sensitive=False,
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,  # a wrong value may be half a secret
    )

    # -- the front door
    proxy_enabled: bool = Field(
        False,
        description="Whether Nginx stands before the hub and the gateway: it takes 80 and 443, speaks TLS and knows the "
        "domains of servers. See docs/front-door.md.",
    )
    proxy_http_port: Port = Field(
        80,
        description="Port of the front door that leads to https, and on which certificate authorities look.",
    )
    proxy_https_port: Port = Field(443, description="Its port with TLS.")
    proxy_bind_addresses: str = Field(
        "0.0.0.0,[::]",
        description="Addresses that it listens on, with commas; IPv6 ones are left out where this box has none.",
    )
    proxy_user: str = Field(
        "www-data",
        pattern=r"^[a-z_][a-z0-9_-]{0,31}$",
        description="User that Nginx works as, where it is started as root.",
    )
    proxy_requests_per_second: int = Field(
        300,
        ge=0,
        le=1_000_000,
        description="Requests a second that one address may make through the front door; beyond, and beyond "
        "PROXY_REQUEST_BURST, 429. 0: any number.",
    )
    proxy_request_burst: int = Field(
        1000,
        ge=0,
        le=1_000_000,
        description="Requests of one address beyond PROXY_REQUESTS_PER_SECOND that are let in at once.",
    )
    proxy_connections_per_address: int = Field(
        1000,
        ge=0,
        le=65535,
        description="Requests, streams among them, that one address may have open at the front door at once; beyond, 429. "
        "0: any number.",
    )
    proxy_hsts_seconds: int = Field(
        31_536_000,
        ge=0,
        le=63_072_000,
        description="Seconds for which browsers shall come by https only (Strict-Transport-Security). 0: nothing is said.",
    )

    # -- domains
    base_domain: str | None = Field(
        None,
        description="A name, such as mcp.example.org, below which each server has one of its own: <server>.mcp.example.org. "
        "Point it and *.mcp.example.org here. See docs/domains.md.",
    )
    public_addresses: str = Field(
        "",
        description="Addresses that domains have to point to, with commas. Unset: this box's own global ones; name them where "
        "something else stands before it and has another.",
    )
    dns_resolvers: str = Field(
        "",
        description="Resolvers that are asked where domains point, with commas, such as 9.9.9.9 or 127.0.0.1:5353. Unset: "
        "those of this box.",
    )

    # -- certificates
    acme_email: str | None = Field(
        None,
        validation_alias=AliasChoices("acme_email", "certbot_email"),
        pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        description="Address that the certificate authority may write to, also as CERTBOT_EMAIL. Whoever sets it agrees to "
        "the authority's terms. Unset: no certificates are ordered, and the box's own CA issues them.",
    )
    acme_directory_url: str = Field(
        "https://acme-v02.api.letsencrypt.org/directory",
        pattern=r"^https://[^\s]+$",
        description="The certificate authority, by its ACME directory.",
    )
    acme_staging: bool = Field(
        False,
        description="Whether certificates are ordered at Let's Encrypt's staging, to try things out: browsers do not trust "
        "them, and limits are wide.",
    )
    acme_ca_file: Path | None = Field(
        None,
        description="Certificates by which the directory itself is trusted, for an authority of your own. Unset: those of "
        "the system.",
    )
    acme_eab_key_id: str | None = Field(
        None,
        description="Key id of the account at an authority that binds accounts to one made elsewhere (EAB).",
    )
    acme_eab_hmac_key: SecretStr | None = Field(
        None, description="HMAC key of ACME_EAB_KEY_ID, base64url."
    )
    acme_challenge: Literal["auto", "http-01", "dns-01"] = Field(
        "auto",
        description="How the authority sees that a name is ours. auto: dns-01 for wildcards and for names of BASE_DOMAIN "
        "where ACME_DNS_HOOK or ACME_DNS_SERVER is set, else http-01, for which port 80 of the name must lead here.",
    )
    acme_dns_hook: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="Program that sets DNS records for dns-01, as a JSON list of its arguments; add or remove, the record's "
        "name and its value follow them.",
    )
    acme_dns_server: str | None = Field(
        None,
        pattern=r"^(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?$",
        description="DNS server that takes updates for dns-01 (RFC 2136), as host or host:port.",
    )
    acme_dns_zone: str | None = Field(
        None,
        description="Zone that is updated there. Unset: found by asking that server.",
    )
    acme_dns_key_name: str | None = Field(
        None, description="Name of the key by which updates are signed (TSIG)."
    )
    acme_dns_key_secret: SecretStr | None = Field(
        None, description="The key of ACME_DNS_KEY_NAME, base64."
    )
    acme_dns_key_algorithm: Literal[
        "hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1"
    ] = Field("hmac-sha256", description="Algorithm of ACME_DNS_KEY_NAME.")
    acme_dns_wait_seconds: float = Field(
        10,
        ge=0,
        le=900,
        description="Seconds that a DNS record is given to reach all servers of its zone before the authority is told to look.",
    )

    # -- hub
    bind_address: str = Field(
        default_factory=_inside,
        description="Address that the hub listens on. Default: 0.0.0.0, and 127.0.0.1 with PROXY_ENABLED.",
    )
    bind_port: Port = Field(3000, description="Port that the hub listens on.")
    jwt_secret: SecretStr = Field(
        description="Required, at least 32 bytes; signs what needs no look-up. Make one with: openssl rand -base64 48",
    )
    jwt_secret_previous: SecretStr | None = Field(
        None,
        description="What JWT_SECRET was before, while it is changed: opens what was sealed with it, and checks tokens that it "
        "signed. See docs/keys.md.",
    )
    public_url: str | None = Field(
        None,
        description="Where browsers reach the hub, such as https://mcp.example.org. Unset: the address of the request.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses and networks of the proxies before the hub and the gateway, with commas, such as "
        "127.0.0.1,10.0.0.0/8. Their X-Forwarded-For, -Proto and -Host are believed, nobody else's.",
    )
    cors_origins: str = Field(
        "",
        description="Origins whose pages may call the API with a key, with commas, such as https://ops.example.org; *: all. "
        "Cookies never count from elsewhere. Unset: none.",
    )
    account_writes_per_minute: int = Field(
        1200,
        ge=0,
        description="Writes a minute that one account may make over API and pages; beyond, 429. 0: any number.",
    )
    anonymous_requests_per_minute: int = Field(
        1200,
        ge=0,
        description="Requests a minute that one address may make without being signed in; beyond, 429. 0: any number.",
    )
    open_registration: bool = Field(
        False,
        description="Whether anybody may register. The first user always may, and becomes administrator.",
    )
    smtp_host: str | None = Field(
        None,
        description="Mail server that takes notifications, such as smtp.example.org. Unset: no e-mail is sent.",
    )
    smtp_port: Port = Field(587, description="Its port.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="How the way to the mail server is kept from others: starttls (587), tls (465) or none.",
    )
    smtp_username: str = Field("", description="Name there; unset: without.")
    smtp_password: SecretStr | None = Field(None, description="Password there.")
    smtp_from: str = Field(
        "",
        description="Sender of e-mails, such as mcp-host@example.org. Unset: mcp-host@ and SMTP_HOST.",
    )
    hub_timeout: Seconds = Field(
        60, description="Seconds a request to the hub may take, streams excepted."
    )
    hub_graceful_timeout: Seconds = Field(
        10, description="Seconds the hub waits for open requests when it stops."
    )
    hub_keepalive: Seconds = Field(
        75, description="Seconds an idle connection to the hub stays open."
    )
    hub_log_level: LogLevel | None = Field(
        None, description="LOG_LEVEL for the hub alone."
    )

    # -- state
    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Where all that must survive lives. Default: /var/lib/mcp-host as root, else ~/.local/share/mcp-host.",
    )
    run_dir: Path = Field(
        default_factory=_default_run_dir,
        description="Where unix sockets live; at most 80 bytes long. Default: /run/mcp-host as root.",
    )
    watchdog_patience: float = Field(
        30,
        ge=5,
        description="Seconds without a sign of life after which a process of the appliance is ended and started again; "
        "one that is busy has four times as long, and each time within an hour doubles them.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="Postgres 15 to 18, postgresql://user:password@host/name. Unset: a private cluster under DATA_DIR.",
    )
    database_pool: int = Field(
        8, ge=2, le=64, description="Database connections, and threads, of the hub."
    )
    allow_migration_failure: bool = Field(
        False,
        description="Start although migrations failed; health then says degraded.",
    )

    # -- engine and builds
    container_runtime: Literal["docker", "kubernetes"] = Field(
        "docker", description="What runs instances."
    )
    docker_host: str | None = Field(
        None, description="Address of the Docker engine. Unset: the local socket."
    )
    buildx_builder: str | None = Field(
        None, description="Name of the buildx builder to use. Unset: the engine's own."
    )
    build_base_source: Literal["auto", "registry", "debian"] = Field(
        "auto",
        description="Where base images come from: pulled from a registry, assembled from a Debian mirror, or whichever works.",
    )
    build_base_image: str = Field(
        "debian:trixie-slim",
        description="The image that base images start from when BUILD_BASE_SOURCE allows a registry.",
    )
    build_debian_mirror: str | None = Field(
        None,
        description="Debian mirror for assembling a base image. Unset: the one in this box's own apt sources.",
    )
    build_timeout: Seconds = Field(
        1800, description="Seconds a build may take before it is stopped."
    )
    build_concurrency: int = Field(2, ge=1, le=32, description="Builds at once.")
    package_min_release_age_days: int = Field(
        0,
        ge=0,
        le=3650,
        description="Days that a release of a package, and of all it needs, must be old before it is taken.",
    )
    build_cache_gib: int = Field(
        10,
        ge=1,
        description="GiB of the engine's build cache to keep; above it, what was not used for longest goes, once an hour.",
    )
    build_network: Literal["default", "none"] = Field(
        "default",
        description="none: no step of a build reaches the network, nor does its ADD. Packages can then not be installed.",
    )
    git_timeout: Seconds = Field(
        300, description="Seconds that fetching a repository may take."
    )
    source_max_mib: int = Field(
        1024,
        ge=1,
        description="MiB that a repository or an unpacked archive may have.",
    )
    source_max_files: int = Field(
        100_000,
        ge=1,
        description="Files and directories that a repository or an archive may have.",
    )
    archive_max_mib: int = Field(
        200, ge=1, description="MiB that an uploaded archive may have."
    )
    archive_quota_mib: int = Field(
        2048, ge=1, description="MiB that the archives of one person may have together."
    )
    build_min_free_gib: int = Field(
        2,
        ge=0,
        description="GiB that must be free for a build to begin, where images and where DATA_DIR are; 0: not looked at.",
    )
    disk_low_mib: int = Field(
        512,
        ge=0,
        description="MiB free below which /readyz says that a disk is low: that of DATA_DIR, or that of the engine.",
    )
    disk_full_within_hours: float = Field(
        6,
        ge=0,
        description="Hours before a disk is full, as far as the last hour tells, from which on /readyz warns.",
    )
    memory_low_percent: float = Field(
        5,
        ge=0,
        le=100,
        description="Percent of memory that can be had below which /readyz warns; of the box, or of the hub's container.",
    )
    process_memory_high_mib: int = Field(
        1024,
        ge=1,
        description="MiB of memory beyond which /readyz names a process of the appliance.",
    )
    used_high_percent: float = Field(
        80,
        ge=1,
        le=100,
        description="Percent of a process's descriptors, or of Postgres' connections, in use from which on /readyz warns.",
    )
    build_minutes_quota: int | None = Field(
        None,
        ge=0,
        description="Minutes that the builds of one person or organisation may take in a calendar month, unless an "
        "administrator says otherwise for them. Unset: any number.",
    )
    disk_quota_mib: int | None = Field(
        None,
        ge=0,
        description="MiB that images, /data and uploads of one person or organisation may take together, unless an "
        "administrator says otherwise for them. Unset: any number.",
    )
    build_quota_mib: int = Field(
        0,
        ge=0,
        description="MiB that the images of one person's servers may take, what they share counted once each; 0: any number.",
    )
    registry_arch_targets: str = Field(
        "linux/amd64",
        description="Platforms that images are built for, with commas. What runs here is always built; unset, it is all.",
    )
    registry_build_parallelism: int | None = Field(
        None,
        ge=1,
        le=16,
        description="Platforms of one build that are built at once. Unset: the CPU count, at most the number of platforms.",
    )
    registry_build_disable_cache: bool = Field(
        False, description="Build everything anew, whatever the engine's cache has."
    )
    registry_build_cache_from: str | None = Field(
        None,
        description="What builds may take steps from, in the words of buildx --cache-from; spaces between several.",
    )
    ca_bundle: Path = Field(
        Path("/etc/ssl/certs/ca-certificates.crt"),
        description="Certificates that builds and servers trust; the one file of this box that reaches a build.",
    )
    server_subnet_pool: str = Field(
        "10.213.0.0/16",
        description="Private address range that the networks of servers are cut from, a /27 each.",
    )
    files_quota_bytes: int | None = Field(
        None,
        ge=1,
        description="What may lie in a server's /data for more to be uploaded, unless its configuration gives it a size. "
        "Unset: SERVER_DATA_LIMIT_BYTES.",
    )
    evaluation_evidence_max_mib: int = Field(
        16,
        ge=1,
        description="MiB that one file beside a certification may have; there are at most 20.",
    )
    evaluation_warning_days: int = Field(
        7,
        ge=0,
        le=365,
        description="Days before a certification ends on which it is warned of, unless the certification says otherwise.",
    )
    files_upload_max_bytes: int = Field(
        1024**3, ge=1, description="Bytes that one uploaded file may have."
    )
    server_data_limit_bytes: int = Field(
        1024**3,
        ge=0,
        description="What may lie in a server's /data unless its configuration says otherwise; "
        "0: no limit, /data is a plain directory.",
    )
    egress_skip_start: bool = Field(
        False,
        description="Do not start the process that lets servers out. Nothing of theirs then reaches the network.",
    )
    egress_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port, TCP and UDP, to which the firewall leads what servers may reach. 0: any free one.",
    )
    start_timeout: Seconds = Field(
        60,
        description="Seconds a server may take from its container's start to its first answer.",
    )
    remote_allow_private: bool = Field(
        False,
        description="Whether a remote URL may name a loopback, link-local or private address.",
    )

    registry_auth_dockerconfig: Path | None = Field(
        None,
        description="Path of a dockerconfigjson with the registry's credentials. Unset: the registry is asked without any.",
    )
    registry_auth_max_age_seconds: Seconds = Field(
        86400,
        description="Age of that file, in seconds, at which its credentials count as expired, unless they end earlier.",
    )
    registry_auth_rotate_lead_seconds: float = Field(
        3600,
        ge=0,
        description="Seconds before their end at which credentials are replaced; at most half of their life is taken.",
    )
    registry_auth_refresh_command: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description='Program that gets fresh credentials, as a JSON list: ["/usr/local/bin/registry-login", "--json"]. '
        "No shell sees it. It prints a dockerconfigjson, or writes REGISTRY_AUTH_DOCKERCONFIG itself and prints nothing.",
    )
    registry_auth_refresh_timeout: Seconds = Field(
        60, description="Seconds that program may take before it is stopped."
    )
    registry_auth_check_seconds: Annotated[float, Field(ge=1)] = Field(
        300, description="Seconds between two looks at the registry's credentials."
    )

    # -- registry
    registry: str | None = Field(
        None,
        description="Where images are pushed, host[:port][/namespace]; such as registry.example.org/team. Unset: nowhere.",
    )
    registry_push_retries: int = Field(
        3,
        ge=0,
        le=20,
        description="How often a push is tried again after a fault that may go away by itself; 0: never.",
    )
    registry_push_pause: Seconds = Field(
        1,
        description="Seconds before the first retry of a push, doubled for each further one; Retry-After goes before it.",
    )
    registry_insecure: str = Field(
        "",
        description="Registries spoken to without TLS, comma separated, as host[:port]; those on loopback always are.",
    )
    registry_timeout: Seconds = Field(
        60,
        description="Seconds that a registry may be silent in the middle of a request.",
    )
    registry_door_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Loopback port through which the engine pushes; it never sees credentials. 0: any free one.",
    )

    # -- gateway
    mcp_gateway_url: str = Field(
        "http://127.0.0.1:4444",
        description="Where the hub and its pages reach the gateway.",
    )
    gateway_public_url: str | None = Field(
        default_factory=_default_gateway_public_url,
        description="Where clients reach the gateway, such as https://mcp.example.org. Unset: MCP_GATEWAY_URL, and with "
        "PROXY_ENABLED PUBLIC_URL.",
    )
    gateway_bind_address: str = Field(
        default_factory=_inside,
        description="Address that the gateway listens on. Default: 0.0.0.0, and 127.0.0.1 with PROXY_ENABLED.",
    )
    gateway_skip_start: bool = Field(
        False,
        description="Do not start the own gateway; use the one at MCP_GATEWAY_URL.",
    )
    gw_workers: int = Field(
        default_factory=lambda: 2 * (os.cpu_count() or 1) + 1,
        ge=1,
        le=128,
        description="Worker processes of the gateway. Default: twice the CPU count plus one.",
    )
    gw_timeout: Seconds = Field(
        120,
        description="Seconds a call may take, from the client's request to the answer.",
    )
    gw_graceful_timeout: Seconds = Field(
        30, description="Seconds a stopping worker waits for its open calls."
    )
    gw_keepalive: Seconds = Field(
        75, description="Seconds an idle client connection stays open."
    )
    gw_max_requests: int = Field(
        0, ge=0, description="Calls after which a worker is replaced; 0: never."
    )
    gw_max_requests_jitter: int = Field(
        0,
        ge=0,
        description="Random addition to GW_MAX_REQUESTS, so that workers do not go at once.",
    )
    gw_preload: bool = Field(
        True,
        description="Load the code once and fork workers from it, which shares its memory.",
    )
    gw_log_level: LogLevel | None = Field(
        None, description="LOG_LEVEL for the gateway alone."
    )
    gw_key_calls_per_second: float = Field(
        0.0,
        ge=0,
        description="Calls a second that a key may make if it has no limit of its own. 0: any number.",
    )
    gw_key_concurrency: int = Field(
        0,
        ge=0,
        description="Calls at once that a key may have if it has no limit of its own. 0: any number.",
    )
    gw_sessions_per_server: int = Field(
        16,
        ge=1,
        le=24,
        description="Containers that the sessions of one stdio server may have, beside the server's own; see session_mode.",
    )
    gw_sessions_per_principal: int = Field(
        4,
        ge=1,
        le=24,
        description="Containers that one key's sessions may have at one stdio server.",
    )
    gw_session_idle: Seconds = Field(
        600,
        description="Seconds after which an unused session's container is ended; the session's next call gets a new one.",
    )
    gw_max_body_bytes: int = Field(
        10 * 1024 * 1024,
        ge=1024,
        description="Largest request body, and longest line of a stdio server, in bytes.",
    )

    gw_traces: bool = Field(
        True, description="Whether every call becomes a row in invocations."
    )
    gw_trace_body_bytes: int = Field(
        4096,
        ge=0,
        le=64 * 1024,
        description="First bytes of requests and answers that a trace keeps, secrets redacted; 0: none.",
    )
    gw_trace_spool_bytes: int = Field(
        256 * 1024 * 1024,
        ge=64 * 1024,
        description="Bytes that traces may take while they wait for Postgres; beyond, new ones are dropped and counted.",
    )
    invocation_retention_days: int = Field(
        30,
        ge=1,
        le=3650,
        description="Days that invocations are kept; whole days go at once.",
    )

    # -- the audit trail
    audit_retention_days: int = Field(
        365,
        ge=0,
        le=36500,
        description="Days that lines of the audit trail are kept; 0: for ever.",
    )

    # -- what servers print
    server_log_retention_days: int = Field(
        14, ge=1, le=3650, description="Days that the output of servers is kept."
    )
    server_log_max_mib: int = Field(
        64,
        ge=8,
        description="MiB on disk that the output of one server may take, compressed for the most part; the oldest goes first.",
    )
    server_log_lines_per_second: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Lines that are kept of one container's second, and at most 1 MiB of them; the others are counted.",
    )

    # -- secrets
    secrets_master_key_file: Path | None = Field(
        None,
        description="The file with the master keys that secrets are sealed under; keep a copy apart from the backups. "
        "Unset: DATA_DIR/secrets/master-keys.json.",
    )
    secrets_delivery_dir: Path | None = Field(
        None,
        description="A directory on tmpfs for what containers get. Unset: RUN_DIR, /dev/shm or /run, whichever is in memory.",
    )
    vault_addr: str | None = Field(
        None,
        description="Address of Vault, such as https://vault.example.org:8200; new secrets are kept there, in KV version 2.",
    )
    vault_token: SecretStr | None = Field(
        None, description="Token for Vault; renewed while it may be."
    )
    vault_role_id: str | None = Field(
        None, description="Role of an AppRole, in place of VAULT_TOKEN."
    )
    vault_secret_id: SecretStr | None = Field(
        None, description="The AppRole's secret id."
    )
    vault_mount: str = Field("secret", description="Where the KV engine is mounted.")
    vault_approle_mount: str = Field(
        "approle", description="Where the AppRole method is mounted."
    )
    vault_prefix: str = Field(
        "mcp-host", description="Stands before the path of every secret in Vault."
    )
    vault_namespace: str | None = Field(
        None, description="Namespace, where Vault has such."
    )

    # -- OAuth
    oauth_access_token_seconds: int = Field(
        900,
        ge=60,
        le=3600,
        description="Seconds that an access token of the built-in authorization server is good.",
    )
    oauth_refresh_token_days: int = Field(
        30,
        ge=1,
        le=365,
        description="Days after which a client that was not used must ask its person again.",
    )
    oauth_registration: bool = Field(
        True,
        description="Whether clients may register themselves (RFC 7591). Without it, they need an id that is an address, "
        "or one that somebody made for them.",
    )
    oauth_private_client_hosts: str = Field(
        "",
        description="Hosts, comma separated, as host or host:port, whose client metadata documents may be fetched although "
        "they lie on this box or beside it.",
    )

    oauth_issuer: str | None = Field(
        None,
        description="Another authorization server, by its issuer exactly as its metadata spells it. Its access tokens open "
        "endpoints then, and the built-in one's do not. Unset: the built-in one.",
    )
    oauth_audience: str | None = Field(
        None,
        description="Audience that all tokens of OAUTH_ISSUER have, for one that knows no resource parameter. One token then "
        "opens every endpoint of its person. Unset: a token is for one endpoint, by its URL.",
    )
    oauth_user_claim: str = Field(
        "email",
        pattern=r"^[A-Za-z0-9_.:/-]{1,200}$",
        description="Claim in the tokens of OAUTH_ISSUER that holds the e-mail address of a person here.",
    )
    oauth_scopes: str = Field(
        "mcp:read mcp:call",
        description="The two scopes of OAUTH_ISSUER for reading and for calling, in this order; or none: its tokens open all "
        "that their person may use.",
    )

    # -- signing in
    password_sign_in: bool = Field(
        True,
        description="Whether passwords sign people in. false: only the provider of OIDC_ISSUER does, but for one "
        "administrator, who is the way in when it is away. See docs/people.md.",
    )
    oidc_issuer: str | None = Field(
        None,
        description="An OpenID Connect provider whose people may sign in, by its issuer exactly as its metadata spells it. "
        "Unset: passwords only.",
    )
    oidc_client_id: str | None = Field(
        None, description="What this box is called at the provider."
    )
    oidc_client_secret: SecretStr | None = Field(
        None,
        description="The client's secret at the provider. Unset: it is a public client, and PKCE alone shows it.",
    )
    oidc_scopes: str = Field(
        "openid email profile",
        description="Scopes that the provider is asked for; openid is one of them.",
    )
    oidc_name: str = Field(
        "your organisation",
        max_length=60,
        description="What the sign-in page calls the provider: Sign in with ….",
    )
    oidc_create_people: bool = Field(
        False,
        description="Whether somebody who is not known here is added at their first sign-in. Their address must be verified.",
    )
    oidc_link_by_email: bool = Field(
        False,
        description="Whether somebody who is not known by the provider's number for them becomes the person here with the same "
        "verified address. Only for a provider that gives no address to whoever asks for it.",
    )
    oidc_email_domains: str = Field(
        "",
        description="Domains, with commas, of one of which a verified address must be to sign in by the provider. Unset: any.",
    )
    oidc_email_claim: str = Field(
        "email",
        pattern=r"^[A-Za-z0-9_.:/-]{1,200}$",
        description="Claim that holds the e-mail address.",
    )
    oidc_trust_email: bool = Field(
        False,
        description="Whether an address counts as verified where the provider does not say (email_verified). What it says is "
        "not verified never does.",
    )
    oidc_default_role: Literal["member", "reader", "none"] = Field(
        "member",
        description="Role of those whom no group gives one; none: they are not let in.",
    )
    oidc_group_claim: str = Field(
        "groups",
        pattern=r"^[A-Za-z0-9_.:/-]{1,200}$",
        description="Claim that holds a person's groups; dots lead into objects, such as realm_access.roles.",
    )
    oidc_roles: str = Field(
        "",
        description="Roles by group, such as ops=admin, devs=member, audit=reader; the first that fits counts, at every "
        "sign-in anew. A JSON object where names hold commas. Unset: roles are given here.",
    )
    oidc_orgs: str = Field(
        "",
        description="Organisations by group, such as devs=acme:deployer; the highest counts, at every sign-in anew. Who was "
        "taken in by hand stays.",
    )
    oidc_logout: bool = Field(
        False,
        description="Whether signing out here also signs out at the provider, where it offers that.",
    )
    oidc_private_hosts: str = Field(
        "",
        description="Hosts, with commas, beside the issuer's own, where the provider's addresses may lead although they lie on "
        "this box or beside it.",
    )

    # -- backups
    backup_target: str | None = Field(
        None,
        description="Where backups go: a directory, s3://bucket/prefix, or ssh://user@host/path (by rsync). Unset: the clock "
        "makes none, and DATA_DIR/backups takes those made by hand.",
    )
    backup_passphrase_file: Path | None = Field(
        None,
        description="File whose first line is the passphrase of backups, at least 12 characters. Keep a copy elsewhere; "
        "without it no backup opens.",
    )
    backup_every_hours: Annotated[float, Field(ge=0)] = Field(
        24,
        description="Hours between two backups to BACKUP_TARGET; 0: only when somebody asks.",
    )
    backup_keep_last: int = Field(
        3, ge=1, description="Newest backups of the clock's that are kept."
    )
    backup_keep_daily: int = Field(
        7, ge=0, description="Days of which the newest backup is kept."
    )
    backup_keep_weekly: int = Field(
        4, ge=0, description="Weeks of which the newest backup is kept."
    )
    backup_images_max_mib: int = Field(
        20_480,
        ge=0,
        description="MiB that images may take in a backup; beyond, none is in it, and servers are pulled or built anew when it "
        "is brought back. 0: never any.",
    )
    backup_freeze_seconds: float = Field(
        5,
        ge=0,
        le=60,
        description="Seconds that one server's /data may be frozen while it is copied: writes wait meanwhile. 0: never.",
    )
    backup_s3_endpoint: str = Field(
        "https://s3.amazonaws.com",
        description="Address of the S3-compatible store that s3:// targets are in.",
    )
    backup_s3_region: str | None = Field(None, description="Region of the bucket.")
    backup_s3_access_key: str | None = Field(None, description="Access key there.")
    backup_s3_secret_key: SecretStr | None = Field(
        None, description="Secret key there."
    )
    backup_ssh_key_file: Path | None = Field(
        None,
        description="Private key for ssh:// targets. Unset: those of the user that runs the hub.",
    )
    backup_ssh_known_hosts: Path | None = Field(
        None,
        description="File with the host keys of ssh:// targets. Unset: the user's own; an unknown host is refused either way.",
    )

    # -- logs
    log_level: LogLevel = Field("info", description="What is logged.")
    log_format: Literal["json", "console"] = Field(
        "json", description="JSON lines, or colours for a person."
    )

    @property
    def jwt_secrets(self) -> tuple[bytes, ...]:
        """The secret that seals and signs, then the one before, if it is given."""
        found = (self.jwt_secret, self.jwt_secret_previous)
        return tuple(item.get_secret_value().encode() for item in found if item)

    @field_validator("jwt_secret", "jwt_secret_previous")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if (
            value is not None
            and len(value.get_secret_value().encode()) < MIN_SECRET_BYTES
        ):
            raise ValueError(
                f"must be at least {MIN_SECRET_BYTES} bytes; make one with: openssl rand -base64 48"
            )
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks_of(value)
        return value

    @field_validator("proxy_bind_addresses")
    @classmethod
    def _addresses(cls, value: str) -> str:
        return ",".join(listen_addresses(value))

    @field_validator("base_domain")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        found = (value or "").strip().lower().rstrip(".")
        if found and ("." not in found or not is_host_name(found)):
            raise ValueError(
                "must be a name of two labels or more, such as mcp.example.org; international ones as xn--…"
            )
        return found or None

    @field_validator("public_addresses")
    @classmethod
    def _own_addresses(cls, value: str) -> str:
        return ",".join(addresses_of(value))

    @field_validator("dns_resolvers")
    @classmethod
    def _resolvers(cls, value: str) -> str:
        resolvers_of(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for item in value.replace(",", " ").split():
            if item != "*" and not _ORIGIN.fullmatch(item):
                raise ValueError(
                    f"{item!r} is no origin; give such as https://ops.example.org, without a path, or *"
                )
        return value

    @field_validator("oauth_issuer")
    @classmethod
    def _an_issuer(cls, value: str | None) -> str | None:
        if value is not None and not is_issuer(value):
            raise ValueError(
                "must be a URL without a query, such as https://login.example.org/realms/team"
            )
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _a_provider(cls, value: str | None) -> str | None:
        if value is not None and not is_safe_issuer(value):
            raise ValueError(
                "must be an https URL without a query, such as https://login.example.org/realms/team"
            )
        return value

    @field_validator("oidc_scopes")
    @classmethod
    def _with_openid(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("must hold openid, such as 'openid email profile'")
        return value

    @field_validator("oidc_roles")
    @classmethod
    def _roles_by_group(cls, value: str) -> str:
        role_rules(value)
        return value

    @field_validator("oidc_orgs")
    @classmethod
    def _orgs_by_group(cls, value: str) -> str:
        org_rules(value)
        return value

    @field_validator("oauth_scopes")
    @classmethod
    def _two_scopes(cls, value: str) -> str:
        if value.strip() != "none" and len(set(value.split())) != len(SCOPES):
            raise ValueError(
                "must be two different words, such as 'mcp:read mcp:call', or none"
            )
        return value

    @field_validator("registry")
    @classmethod
    def _a_registry(cls, value: str | None) -> str | None:
        if value:
            split_registry(value)
        return value

    @field_validator("registry_arch_targets")
    @classmethod
    def _platforms(cls, value: str) -> str:
        return ",".join(platforms_of(value))

    @field_validator("log_level", "hub_log_level", "gw_log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("registry_auth_refresh_command", "acme_dns_hook", mode="before")
    @classmethod
    def _argv(cls, value: object) -> object:
        if value is None:
            return None
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = None
        items = value if isinstance(value, list | tuple) else ()
        if not items or not all(isinstance(item, str) and item for item in items):
            raise ValueError(
                'must be a JSON list of texts, the program first, such as ["/usr/local/bin/registry-login", "--json"]'
            )
        return items

    @cached_property
    def arch_targets(self) -> tuple[str, ...] | None:
        """Platforms that somebody asked for; ``None``: the box's own will do."""
        if "registry_arch_targets" not in self.model_fields_set:
            return None
        return tuple(self.registry_arch_targets.split(","))

    @model_validator(mode="after")
    def _a_way_into_vault(self) -> Self:
        if self.vault_role_id and not self.vault_secret_id:
            raise ValueError("VAULT_ROLE_ID needs VAULT_SECRET_ID")
        if self.vault_addr and not (self.vault_token or self.vault_role_id):
            raise ValueError(
                "VAULT_ADDR needs VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID"
            )
        return self

    @model_validator(mode="after")
    def _an_order(self) -> Self:
        if bool(self.acme_eab_key_id) != bool(self.acme_eab_hmac_key):
            raise ValueError("ACME_EAB_KEY_ID and ACME_EAB_HMAC_KEY need each other")
        if bool(self.acme_dns_key_name) != bool(self.acme_dns_key_secret):
            raise ValueError(
                "ACME_DNS_KEY_NAME and ACME_DNS_KEY_SECRET need each other"
            )
        if self.acme_challenge == "dns-01" and not self.can_set_records:
            raise ValueError(
                "ACME_CHALLENGE=dns-01 needs ACME_DNS_HOOK or ACME_DNS_SERVER"
            )
        return self

    @model_validator(mode="after")
    def _a_way_in(self) -> Self:
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("OIDC_ISSUER needs OIDC_CLIENT_ID")
        if not (self.password_sign_in or self.oidc_issuer):
            raise ValueError(
                "PASSWORD_SIGN_IN=false needs OIDC_ISSUER: nobody could sign in"
            )
        return self

    @property
    def can_set_records(self) -> bool:
        """Whether dns-01 can be answered."""
        return bool(self.acme_dns_hook or self.acme_dns_server)

    @property
    def acme_directory(self) -> str:
        """The authority at which certificates are ordered."""
        if self.acme_staging:
            return LETS_ENCRYPT_STAGING
        return self.acme_directory_url

    @cached_property
    def believed_proxies(self) -> str:
        """Whose word counts about those whom they ask for: TRUSTED_PROXIES, and our own Nginx."""
        if not self.proxy_enabled:
            return self.trusted_proxies
        # Whoever asks a process that listens on one address of the box comes from that address.
        own = [LOOPBACK, self.bind_address, self.gateway_bind_address]
        found = [item for item in own if item == LOOPBACK or is_one_address(item)]
        return ",".join(dict.fromkeys(filter(None, (self.trusted_proxies, *found))))

    @cached_property
    def proxy_dir(self) -> Path:
        """What the front door serves from: its configuration, certificates and answers to challenges."""
        return self.data_dir / "proxy"

    @cached_property
    def box_names(self) -> tuple[str, ...]:
        """Names under which the hub is reached, lower case, the first the one that is told; no addresses."""
        name = urlsplit(self.public_url or "").hostname
        # What the kernel calls the box: to ask DNS for more could take seconds.
        found = (name or socket.gethostname()).lower().rstrip(".")
        return (found,) if is_host_name(found) else ("localhost",)

    @cached_property
    def gateway_names(self) -> tuple[str, ...]:
        """Names of the box itself that lead to the gateway alone: that of GATEWAY_PUBLIC_URL, where it is another."""
        name = urlsplit(self.gateway_public_url or "").hostname or ""
        is_other = is_host_name(name) and name not in self.box_names
        return (name,) if is_other and self.proxy_enabled else ()

    @cached_property
    def master_key_file(self) -> Path:
        """Where the master keys are."""
        return self.secrets_master_key_file or (
            self.data_dir / "secrets" / "master-keys.json"
        )

    @cached_property
    def private_client_hosts(self) -> tuple[str, ...]:
        """Hosts beside this box that may describe clients."""
        names = self.oauth_private_client_hosts.split(",")
        return tuple(name.strip() for name in names if name.strip())

    @cached_property
    def files_quota(self) -> int:
        """What may lie in a server's /data for more to be uploaded; without any limit, more than there is."""
        return self.files_quota_bytes or self.server_data_limit_bytes or 2**60

    @cached_property
    def postgres_dir(self) -> Path:
        """The private cluster's directory."""
        return self.data_dir / "postgres"

    @cached_property
    def data_disks_dir(self) -> Path:
        """Where the file systems that servers see as /data lie."""
        return self.data_dir / "disks"

    @cached_property
    def bridge_socket(self) -> Path:
        """Where gateway workers reach the bridge."""
        return self.run_dir / "bridge.sock"

    @cached_property
    def trace_spool(self) -> Path:
        """Where gateway workers leave traces for the scribe."""
        return self.run_dir / "traces"

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917 - pydantic-settings calls it
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - read below, with unknown keys refused
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, ``.env``, YAML."""
        files = [InitSettingsSource(settings_cls, values) for values in _file_values()]
        return (init_settings, env_settings, *files)


def env_file() -> Path:
    """Return where the settings file is, whether it is there or not."""
    return Path(os.environ.get("MCP_HOST_ENV_FILE") or ".env")


def _file_values() -> list[dict[str, Any]]:
    """Return what ``.env`` and the YAML file say, keys in lower case, the stronger first."""
    found: list[dict[str, Any]] = []
    place = env_file()
    if place.is_file():
        # A dollar sign in a password is a dollar sign.
        values = dotenv_values(place, interpolate=False)
        found.append({key.lower(): value for key, value in values.items() if value})
    if config := os.environ.get("MCP_HOST_CONFIG"):
        found.append(_yaml_values(Path(config)))
    return found


def _yaml_values(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise SettingsError(
            f"MCP_HOST_CONFIG: cannot read {path}: {error.strerror}."
        ) from error
    except yaml.YAMLError as error:
        # The library's own text would quote the line, and with it perhaps a secret.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"MCP_HOST_CONFIG: {path}{where} is not YAML.") from None
    if not isinstance(loaded, dict):
        raise SettingsError(
            f"MCP_HOST_CONFIG: {path} must be a mapping of variables to values."
        )
    return {
        str(key).lower(): value
        for key, value in loaded.items()
        if value not in ("", None)
    }


def load_settings(**overrides: Any) -> Settings:
    """Read the configuration once.

    Raises:
        SettingsError: A variable is missing, unknown or wrong; the text has one line each and never a secret's value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(
                _sentence(dict(item))
                for item in error.errors()
                # A default that hangs on others is not made while one of them is wrong, and is not wrong itself.
                if item["type"] != "default_factory_not_called"
            )
        ) from error


def _sentence(item: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in item["loc"]).upper()
    if name == "JWT_SECRET" and item["type"] == "missing":
        return (
            "JWT_SECRET is not set. It must be at least 32 bytes and stay the same between starts. "
            'Make one and keep it: echo "JWT_SECRET=$(openssl rand -base64 48)" >> .env && chmod 600 .env'
        )
    if item["type"] == "extra_forbidden":
        return f"{name} is not a setting of MCP Host. docs/configuration.md lists them; remove it or mend the name."
    told = f"{str(item['msg']).removeprefix('Value error, ')}."
    # What several variables have to do with each other names them itself.
    return f"{name}: {told}" if name else told
