"""How servers look in JSON, going in and coming out."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from appliance.runtimes.model import Transport
from appliance.servers.config import (
    MAX_ARGUMENTS,
    MAX_CPUS,
    MAX_TOOLS,
    MIN_MEMORY_BYTES,
    config_as_dict,
    parse_memory,
)
from appliance.servers.model import Deployment, NewServer, ServerConfig, Status
from appliance.servers.service import ServerView
from appliance.sources.spec import as_dict as source_as_dict
from appliance.sources.spec import parse_source
from appliance.web.requests import Input

SOURCE_FIELDS = ("package", "repo_url", "branch", "subdirectory", "image", "remote_url")


# What the service checks, told in the document; its own messages are better than a pattern's.
VARIABLE_PATTERN = "^[A-Za-z_][A-Za-z0-9_]{0,127}$"
MEMORY_PATTERN = "^[0-9]+(\\.[0-9]+)? *[kmgKMG]?[iI]?[bB]?$"
PATH_PATTERN = "^/[A-Za-z0-9._~/-]{0,255}$"


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
    transport: Literal["auto", "stdio", "streamable-http"] = Field(
        "auto",
        description="How the server speaks MCP; `auto`: as its image or its sources say, else stdio.",
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
    path: str = Field(
        ServerConfig.path,
        description="Path of an HTTP server's MCP endpoint.",
        json_schema_extra={"pattern": PATH_PATTERN},
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
        )


class NewServerBody(ConfigBody):
    """A server to host: exactly one of `package`, `repo_url`, `image` and `remote_url`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": "string"}}}
                for name in ("package", "repo_url", "image", "remote_url")
            ]
        }
    )

    name: str | None = Field(
        None, description="Lower-case DNS label; absent: derived from the source."
    )
    server_type: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        "Custom", description="What kind of server it is, as people call it."
    )
    package: str | None = Field(
        None,
        description="`pypi:mcp-server-time`, `npm:@scope/name@1.2.3`.",
        examples=["pypi:mcp-server-time"],
    )
    repo_url: str | None = Field(None, description="A git repository, https or ssh.")
    branch: str | None = Field(None, description="Its branch; absent: the default one.")
    subdirectory: str | None = Field(
        None, description="Directory inside the repository; absent: its root."
    )
    image: str | None = Field(
        None, description="A ready image, `ghcr.io/owner/name:tag`."
    )
    remote_url: str | None = Field(
        None, description="A server that somebody else runs."
    )

    def new_server(self) -> NewServer:
        """Return what is asked for.

        Raises:
            InvalidError: The source or a size is wrong; names the field.
        """
        source = {
            name: getattr(self, name)
            for name in SOURCE_FIELDS
            if getattr(self, name) is not None
        }
        return NewServer(
            source=parse_source(source),
            name=self.name,
            server_type=self.server_type,
            config=self.config(),
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


class InvokeAnswer(BaseModel):
    """What the tool answered."""

    result: dict[str, Any] = Field(
        description="The MCP result: `content`, perhaps `structuredContent`, `isError` when the tool itself failed."
    )
    duration_ms: float


class ServerQuery(Input):
    """Which servers."""

    q: str = Field("", max_length=200, description="Part of the name.")
    status: Status | None = Field(None, description="Only servers of this status.")
    cursor: str = Field(
        "", max_length=200, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Servers a page.")


class DeploymentAnswer(BaseModel):
    """One attempt to make a version live."""

    id: int
    number: int = Field(description="1, 2, 3 … within the server.")
    state: str
    reason: str
    source: dict[str, Any]
    config: dict[str, Any]
    image: str | None
    resolved: dict[str, Any] = Field(
        description="What was really taken: version, revision, entry, transport, port."
    )
    requested_by: str
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, item: Deployment) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            id=item.id,
            number=item.number,
            state=item.state,
            reason=item.reason,
            source=source_as_dict(item.source),
            config=config_as_dict(item.config),
            image=item.image,
            resolved=item.resolved,
            requested_by=item.requested_by,
            created_at=item.created_at,
            finished_at=item.finished_at,
        )


class ServerAnswer(BaseModel):
    """One hosted server."""

    id: int
    name: str
    server_type: str
    owner_id: int
    source: dict[str, Any]
    config: dict[str, Any]
    desired_state: str = Field(
        description="What people want: running, stopped or deleted."
    )
    status: Status = Field(description="What is.")
    status_reason: str = Field(
        description="Why, with the next step; empty when there is nothing to say."
    )
    status_since: datetime
    endpoint: str = Field(description="Where MCP clients reach the server.")
    endpoint_key_prefix: str = Field(
        description="The first characters of the endpoint key."
    )
    crashes: int = Field(description="Within the crash window.")
    created_at: datetime
    deployment: DeploymentAnswer | None = Field(
        description="The newest one, whatever became of it."
    )

    @classmethod
    def of(cls, view: ServerView) -> Self:
        """Return ``view`` as it is answered."""
        server = view.server
        return cls(
            id=server.id,
            name=server.name,
            server_type=server.server_type,
            owner_id=server.owner_id,
            source=source_as_dict(server.source),
            config=config_as_dict(server.config),
            desired_state=server.desired_state,
            status=server.status,
            status_reason=server.status_reason,
            status_since=server.status_since,
            endpoint=view.endpoint,
            endpoint_key_prefix=server.endpoint_key_prefix,
            crashes=server.crashes,
            created_at=server.created_at,
            deployment=DeploymentAnswer.of(view.newest) if view.newest else None,
        )


class ServerPage(BaseModel):
    """Some servers, by name."""

    items: list[ServerAnswer]
    next_cursor: str | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class CreatedServer(BaseModel):
    """A new server, with its key."""

    server: ServerAnswer
    endpoint_key: str = Field(description="Shown this once; stored hashed.")


class KeyAnswer(BaseModel):
    """A new endpoint key."""

    endpoint_key: str = Field(
        description="Shown this once; the old one has stopped working."
    )


class ToolAnswer(BaseModel):
    """One tool, as the server describes it."""

    name: str
    title: str | None
    description: str | None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    annotations: dict[str, Any] | None

    @classmethod
    def of(cls, tool: dict[str, Any]) -> Self:
        """Return an MCP tool as it is answered."""
        return cls(
            name=tool["name"],
            title=tool.get("title"),
            description=tool.get("description"),
            input_schema=tool.get("inputSchema") or {},
            output_schema=tool.get("outputSchema"),
            annotations=tool.get("annotations"),
        )


class ToolList(BaseModel):
    """The tools of the live deployment; none before the first one is live."""

    items: list[ToolAnswer]


class ManifestAnswer(BaseModel):
    """What the server said when it was started: MCP's own words."""

    manifest: dict[str, Any] | None = Field(
        description="Null until a deployment is live."
    )


class CapabilitiesAnswer(BaseModel):
    """What the server says it can do."""

    capabilities: dict[str, Any]
    protocol_version: str | None
    server_info: dict[str, Any]


class DeploymentList(BaseModel):
    """The newest deployments, newest first."""

    items: list[DeploymentAnswer]


class ClientConfigAnswer(BaseModel):
    """One client's way of being told of the server."""

    client: str
    title: str
    file: str = Field(description="Where the text goes: a file, or `shell`.")
    language: str
    text: str


class ConnectAnswer(BaseModel):
    """How to reach the server."""

    name: str
    endpoint: str
    key_placeholder: str = Field(description="Stands where the endpoint key goes.")
    mcp_json: dict[str, Any] = Field(description="The general snippet as an object.")
    clients: list[ClientConfigAnswer]
    manifest: dict[str, Any] | None
