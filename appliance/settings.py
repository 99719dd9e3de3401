"""The only reader of the environment.

A value comes from, in this order: the process's environment, ``.env`` in the working directory, the YAML file named by
``MCP_HOST_CONFIG``, the default. Keys that nothing here names are errors in ``.env`` and in the YAML file; the process's
environment also carries other programs' variables, so there they are ignored. An empty value means unset, as
compose files write it.

``docs/configuration.md`` is generated from the fields: a description is the documentation of its variable.
"""

import json
import os
import re
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from dotenv import dotenv_values
from pydantic import (
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

from appliance.core.oauth import SCOPES, is_issuer
from appliance.core.platforms import platforms_of
from appliance.core.proxies import networks_of
from appliance.core.registry_names import split_registry

MIN_SECRET_BYTES = 32
_ORIGIN = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+")

Port = Annotated[int, Field(ge=1, le=65535)]
LogLevel = Literal["debug", "info", "warning", "error"]
Seconds = Annotated[float, Field(gt=0)]


class SettingsError(Exception):
    """The configuration is wrong; the text names each variable and says what would be right."""


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

    # -- hub
    bind_address: str = Field(
        "0.0.0.0",  # noqa: S104 - documented default
        description="Address that the hub listens on.",
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
        None,
        description="Where clients reach the gateway, such as https://mcp.example.org. Unset: MCP_GATEWAY_URL.",
    )
    gateway_bind_address: str = Field(
        "0.0.0.0",  # noqa: S104 - clients are elsewhere
        description="Address that the gateway listens on.",
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

    @field_validator("registry_auth_refresh_command", mode="before")
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


def _file_values() -> list[dict[str, Any]]:
    """Return what ``.env`` and the YAML file say, keys in lower case, the stronger first."""
    found: list[dict[str, Any]] = []
    if Path(".env").is_file():
        # A dollar sign in a password is a dollar sign.
        values = dotenv_values(".env", interpolate=False)
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
            "\n".join(_sentence(dict(item)) for item in error.errors())
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
    return f"{name}: {str(item['msg']).removeprefix('Value error, ')}."
