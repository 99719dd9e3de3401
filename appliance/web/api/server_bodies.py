"""What callers say about servers, in JSON."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr

from appliance.builds.taken_over import MAX_BYTES as MAX_DOCKERFILE_BYTES
from appliance.core.errors import InvalidError
from appliance.runtimes.model import Transport
from appliance.servers.call_limits import BOUNDS
from appliance.servers.config import (
    MAX_ARGUMENTS,
    MAX_CPUS,
    MAX_TOOLS,
    MIN_MEMORY_BYTES,
    parse_memory,
)
from appliance.servers.entries import hosted
from appliance.servers.model import (
    CallLimits,
    NewServer,
    ServerConfig,
    SessionMode,
    Status,
)
from appliance.servers.pinning.policy import PinningMode
from appliance.sources.credentials import checked_credential
from appliance.sources.entry import Entry
from appliance.sources.spec import KINDS, parse_source
from appliance.web.api.deploy_bodies import DeploysBody
from appliance.web.api.egress_bodies import EgressBody
from appliance.web.api.health_bodies import HealthBody
from appliance.web.api.isolation_bodies import IsolationBody
from appliance.web.api.org_bodies import OF_ORG
from appliance.web.parsing import Input
from appliance.web.requests import named

#: Fields that each decide where a server comes from.
SOURCES = (
    "package",
    "repo_url",
    "archive",
    "image",
    "remote_url",
    "server_json",
    "server_json_url",
)


# What the service checks, told in the document; its own messages are better than a pattern's.
VARIABLE_PATTERN = "^[A-Za-z_][A-Za-z0-9_]{0,127}$"
MEMORY_PATTERN = "^[0-9]+(\\.[0-9]+)? *[kmgKMG]?[iI]?[bB]?$"
ENTRY_PATTERN = "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"
PATH_PATTERN = "^/[A-Za-z0-9._~/-]{0,255}$"


def _bounds(name: str) -> dict[str, Any]:
    return {"minimum": BOUNDS[name].least, "maximum": BOUNDS[name].most}


class LimitsBody(Input):
    """What all clients together may ask of a server; what is absent is as the box's settings say."""

    calls_per_second: float | None = Field(
        None,
        description="Calls a second.",
        json_schema_extra=_bounds("calls_per_second"),
    )
    concurrency: int | None = Field(
        None, description="Calls at once.", json_schema_extra=_bounds("concurrency")
    )
    body_bytes: int | None = Field(
        None,
        description="Bytes of one request's body; absent: `GW_MAX_BODY_BYTES`.",
        json_schema_extra=_bounds("body_bytes"),
    )
    timeout_s: float | None = Field(
        None,
        description="Seconds a call may take, from the client's request to the answer; absent: `GW_TIMEOUT`.",
        json_schema_extra=_bounds("timeout_s"),
    )

    def limits(self) -> CallLimits:
        """Return the limits; the service checks their values."""
        return CallLimits(**self.model_dump())


class ConfigBody(Input):
    """How a server is run."""

    arguments: list[str] = Field(
        [],
        description="Arguments after the program's name.",
        json_schema_extra={"maxItems": MAX_ARGUMENTS},
    )
    environment: dict[str, str] = Field(
        {},
        description="Reaches the server under each plain name and under `CFG_` and the name.",
        json_schema_extra={"propertyNames": {"pattern": VARIABLE_PATTERN}},
    )
    cpu_limit: float = Field(
        ServerConfig.cpu_limit,
        description="CPUs, such as 0.5.",
        json_schema_extra={"exclusiveMinimum": 0, "maximum": MAX_CPUS},
    )
    memory_limit: int | str = Field(
        ServerConfig.memory_limit_bytes,
        description="Bytes, or a size such as `512m` or `1g`.",
        json_schema_extra={"minimum": MIN_MEMORY_BYTES, "pattern": MEMORY_PATTERN},
    )
    transport: Literal["auto", "stdio", "streamable-http", "sse"] = Field(
        "auto",
        description=(
            "How the server speaks MCP; `sse` is HTTP+SSE of 2024-11-05; `auto`: as its image or its sources say, else stdio."
        ),
    )
    port: int | None = Field(
        None,
        description="Where an HTTP server listens inside its container.",
        json_schema_extra={"minimum": 1, "maximum": 65535},
    )
    tools: list[str] | None = Field(
        None,
        description="The only tools that clients may list and call; absent: all.",
        json_schema_extra={"maxItems": MAX_TOOLS},
    )
    session_mode: SessionMode = Field(
        ServerConfig.session_mode,
        description=(
            "Who shares the container of a stdio server: `shared`: all clients; `per-session`: a container for each session; "
            "`auto`: shared until the server asks its clients something, then one for each session whose client can answer."
        ),
    )
    listed: bool = Field(
        ServerConfig.listed,
        description="Whether discovery shows the server to those who hold no key; its endpoint stays closed to them.",
    )
    trace_bodies: bool = Field(
        ServerConfig.trace_bodies,
        description="Whether invocations keep what was asked and answered: the first bytes, secrets redacted.",
    )
    limits: LimitsBody = Field(
        default_factory=LimitsBody,
        description="What all clients together may ask of the server.",
    )
    health: HealthBody = Field(
        default_factory=HealthBody,
        description="How the server is asked whether it is well.",
    )
    deploys: DeploysBody = Field(
        default_factory=DeploysBody,
        description="How one version takes the place of another.",
    )
    entry: str = Field(
        ServerConfig.entry,
        description="Which of a repository's programs is started, where it has several.",
        json_schema_extra={"pattern": ENTRY_PATTERN},
    )
    dockerfile: str = Field(
        ServerConfig.dockerfile,
        description="Built instead of the generated Dockerfile, or the repository's own; empty: those.",
        json_schema_extra={"maxLength": MAX_DOCKERFILE_BYTES},
    )
    path: str = Field(
        ServerConfig.path,
        description="Path of an HTTP server's MCP endpoint.",
        json_schema_extra={"pattern": PATH_PATTERN},
    )

    isolation: IsolationBody = Field(
        default_factory=IsolationBody,
        description="How far the server is kept apart, and what it may use besides CPU and memory.",
    )

    egress: EgressBody | None = Field(
        None,
        description="Where the server may go; absent: as servers of its kind of source get it.",
    )

    pinning: PinningMode = Field(
        ServerConfig.pinning,
        description=(
            "What clients get of tools that differ from those that were approved: `serve`: everything; `warn`: everything, and "
            "people are told; `quarantine`: what was approved, until somebody approves the rest."
        ),
    )

    def config(self) -> ServerConfig:
        """Return the configuration; the service checks its values."""
        return ServerConfig(
            arguments=tuple(self.arguments),
            environment=dict(self.environment),
            cpu_limit=self.cpu_limit,
            memory_limit_bytes=parse_memory(self.memory_limit),
            transport=None if self.transport == "auto" else Transport(self.transport),
            port=self.port,
            path=self.path,
            tools=None if self.tools is None else tuple(self.tools),
            session_mode=self.session_mode,
            listed=self.listed,
            trace_bodies=self.trace_bodies,
            limits=self.limits.limits(),
            isolation=self.isolation.isolation(),
            egress=self.egress.policy() if self.egress else None,
            entry=self.entry,
            dockerfile=self.dockerfile,
            health=self.health.policy(),
            deploys=self.deploys.policy(),
            pinning=self.pinning,
        )


class NewServerBody(ConfigBody):
    """A server to host: exactly one of `package`, `repo_url`, `archive`, `image`, `remote_url` and a registry's entry."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": [name],
                    "properties": {
                        name: {"type": "object" if name == "server_json" else "string"}
                    },
                }
                for name in SOURCES
            ]
        }
    )

    name: str | None = Field(
        None, description="Lower-case DNS label; absent: derived from the source."
    )
    server_type: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None,
        description="What kind of server it is, as people call it; absent: `npm`, `pypi`, `git`, `image`, …, by its source.",
    )
    org: str | None = Field(None, description=OF_ORG)
    package: str | None = Field(
        None,
        description="`pypi:mcp-server-time`, `npm:@scope/name@1.2.3`.",
        examples=["pypi:mcp-server-time"],
    )
    as_of: str | None = Field(
        None,
        description="Resolve the package with what was published until this day, `2025-05-01`; absent: as it is now.",
    )
    repo_url: str | None = Field(None, description="A git repository, https or ssh.")
    branch: str | None = Field(None, description="Its branch; absent: the default one.")
    subdirectory: str | None = Field(
        None, description="Directory inside repository or archive; absent: its root."
    )
    submodules: bool = Field(
        default=False,
        description="Whether the repository's submodules are fetched, too.",
    )
    lfs: bool = Field(
        default=False,
        description="Whether the repository's large files (LFS) are fetched, too.",
    )
    git_token: SecretStr | None = Field(
        None,
        description="Opens a private repository over https; kept sealed, never shown.",
    )
    git_user: str | None = Field(
        None, description="Beside a token, where the git host looks at the name."
    )
    deploy_key: SecretStr | None = Field(
        None,
        description="Opens a private repository over ssh: a private key in OpenSSH's format; kept sealed, never shown.",
    )
    archive: str | None = Field(
        None, description="Digest of an archive that the caller uploaded before."
    )
    archive_name: str | None = Field(
        None, description="What the archive is called; only to be shown."
    )
    server_json: dict[str, Any] | None = Field(
        None, description="An entry of an MCP registry: its `server.json`."
    )
    server_json_url: str | None = Field(
        None, description="Where a registry has an entry."
    )
    server_json_option: int | None = Field(
        None,
        description="Which of the entry's packages and remotes, from 0; absent: the first that can be hosted here.",
    )
    inputs: dict[str, str] = Field(
        {},
        description="What the entry asks for, by name; variables may be in `environment` instead.",
    )
    secrets: dict[str, SecretStr] = Field(
        {},
        description="Values that the server gets as `environment`, kept sealed and never shown; see `/secrets`.",
        json_schema_extra={"propertyNames": {"pattern": VARIABLE_PATTERN}},
    )
    image: str | None = Field(
        None, description="A ready image, `ghcr.io/owner/name:tag`."
    )
    remote_url: str | None = Field(
        None, description="A server that somebody else runs."
    )

    @property
    def is_entry(self) -> bool:
        """Whether a registry's entry is asked for.

        Raises:
            InvalidError: One is, beside another source.
        """
        given = [name for name in SOURCES if getattr(self, name)]
        found = any(name.startswith("server_json") for name in given)
        if found and len(given) > 1:
            raise InvalidError.field(
                "source", f"give exactly one of {', '.join(SOURCES)}"
            )
        return found

    def new_server(self, entry: Entry | None = None) -> NewServer:
        """Return what is asked for.

        Args:
            entry: What ``server_json`` or ``server_json_url`` means, if either is given.

        Raises:
            InvalidError: The source or a size is wrong; names the field.
        """
        config, secrets = self.config(), self.secrets
        if entry is not None:
            option = entry.option(self.server_json_option)
            made = hosted(option, self.inputs, config)
            source, config = made.source, made.config
            secrets = {**made.secrets, **secrets}
        else:
            fields = self.model_dump(include=set(KINDS).union(*KINDS.values()))
            source = parse_source(fields)
        credential = checked_credential(
            source,
            token=self.git_token,
            user=self.git_user,
            deploy_key=self.deploy_key,
        )
        return NewServer(
            source=source,
            name=self.name,
            server_type=self.server_type,
            config=config,
            credential=credential,
            secrets=secrets,
            org=named(self.org) if self.org else None,
        )


class InvokeBody(Input):
    """One call of a tool."""

    tool: str = Field(
        description="The tool's name, as GET …/tools lists it.",
        min_length=1,
        max_length=128,
    )
    arguments: dict[str, Any] = Field(
        {}, description="As the tool's input schema asks."
    )
    timeout_s: float = Field(
        60, gt=0, le=600, description="Seconds to wait for the answer."
    )


class RedeployQuery(Input):
    """As of when."""

    as_of: date | None = Field(
        None,
        description="Resolve the package anew, with what was published until this day.",
    )


class ServerQuery(Input):
    """Which servers."""

    q: str = Field("", max_length=200, description="Part of the name.")
    status: Status | None = Field(None, description="Only servers of this status.")
    cursor: str = Field(
        "", max_length=200, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Servers a page.")


class ConnectQuery(Input):
    """For which client."""

    client: str = Field(
        "",
        max_length=64,
        description="One client's name, such as `vscode`; absent: all of them.",
    )
