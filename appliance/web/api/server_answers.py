"""How servers look in JSON."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from appliance.runtimes.model import SessionContainer
from appliance.servers.config import (
    config_as_dict,
)
from appliance.servers.deploys.model import Trigger
from appliance.servers.model import Deployment, Status
from appliance.servers.service import ServerView
from appliance.sources.spec import as_dict as source_as_dict
from appliance.web.api.answer import Answer
from appliance.web.api.org_bodies import ORG, OWNER
from appliance.web.api.policy_bodies import HoldAnswer


class InvokeAnswer(Answer):
    """What the tool answered."""

    result: dict[str, Any] = Field(
        description="The MCP result: `content`, perhaps `structuredContent`, `isError` when the tool itself failed."
    )
    duration_ms: float


class DeploymentAnswer(Answer):
    """One attempt to make a version live."""

    id: int
    number: int = Field(description="1, 2, 3 … within the server.")
    state: str
    reason: str
    source: dict[str, Any]
    config: dict[str, Any]
    image: str | None
    resolved: dict[str, Any] = Field(
        description=(
            "What was really taken: version, revision, entry, transport, port; of a package also released, lock (digest),"
            " as_of (the day as of which it was resolved) and as_of_because."
        )
    )
    requested_by: str
    trigger: Trigger = Field(description="By what it was started.")
    made_of: int | None = Field(
        description="Number of the deployment whose image it runs; null: its own."
    )
    created_at: datetime
    finished_at: datetime | None
    live_at: datetime | None = Field(
        description="When clients were first sent to it; null: never."
    )
    wanted_digest: str = Field(
        description="Id of the image that should run, compared after it went live."
    )
    running_digest: str = Field(description="Id of the image that does.")
    runs_as_wanted: bool | None = Field(
        description="Whether both are the same; null: not compared, as where somebody else runs the server."
    )

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
            trigger=item.trigger,
            made_of=item.made_of,
            created_at=item.created_at,
            finished_at=item.finished_at,
            live_at=item.live_at,
            wanted_digest=item.wanted_digest,
            running_digest=item.running_digest,
            runs_as_wanted=item.runs_as_wanted,
        )


class ServerAnswer(Answer):
    """One hosted server."""

    id: int
    name: str
    server_type: str
    owner_id: int = Field(description=OWNER)
    org_id: int | None = Field(description=ORG)
    org: str = Field(description="The organisation's name; empty: none.")
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
    missing_settings: list[str] = Field(
        description="Environment variables for want of which the newest deployment failed, as it said."
    )
    crashes: int = Field(description="Within the crash window.")
    created_at: datetime
    deployment: DeploymentAnswer | None = Field(
        description="The newest one, whatever became of it."
    )

    hold: HoldAnswer | None = Field(
        description="The newest deployment that the policy does not have launched, and what lifts that; null: none."
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
            org_id=server.org_id,
            org=view.org,
            source=source_as_dict(server.source),
            config=config_as_dict(server.config),
            desired_state=server.desired_state,
            status=server.status,
            status_reason=server.status_reason,
            status_since=server.status_since,
            endpoint=view.endpoint,
            endpoint_key_prefix=server.endpoint_key_prefix,
            missing_settings=list(view.missing_settings),
            crashes=server.crashes,
            created_at=server.created_at,
            deployment=DeploymentAnswer.of(view.newest) if view.newest else None,
            hold=HoldAnswer.of(view.holds[-1]) if view.holds else None,
        )


class ServerPage(Answer):
    """Some servers, by name."""

    items: list[ServerAnswer]
    next_cursor: str | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class CreatedServer(Answer):
    """A new server, with its key."""

    server: ServerAnswer
    endpoint_key: str = Field(description="Shown this once; stored hashed.")


class KeyAnswer(Answer):
    """A new endpoint key."""

    endpoint_key: str = Field(
        description="Shown this once; the old one has stopped working."
    )


class ToolAnswer(Answer):
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


class ToolList(Answer):
    """The tools of the live deployment; none before the first one is live."""

    items: list[ToolAnswer]


class ManifestAnswer(Answer):
    """What the server said when it was asked last: MCP's own words."""

    manifest: dict[str, Any] | None = Field(
        description="Null until a deployment is live. `unread` names lists that the server announces and did not give."
    )
    read_at: datetime | None = Field(
        description="When the server was asked last, changed or not."
    )


class CapabilitiesAnswer(Answer):
    """What the server says it can do."""

    capabilities: dict[str, Any]
    protocol_version: str | None
    server_info: dict[str, Any]


class ClientConfigAnswer(Answer):
    """One client's way of being told of the server."""

    client: str
    title: str
    file: str = Field(description="Where the text goes: a file, or `shell`.")
    language: str = Field(description="`json`, `toml`, `yaml`, `python` or `shell`.")
    text: str
    link: str = Field(
        description="Opens the client and adds the server there; empty where the client has no such link."
    )
    note: str = Field(description="What the client's user should know besides.")


class SessionAnswer(Answer):
    """A container that one session of a stdio server has for itself."""

    session: str = Field(description="Tells sessions apart; opens nothing.")
    instance: str = Field(description="The instance that it was made like.")
    container_id: str
    is_running: bool
    created_at: datetime

    @classmethod
    def of(cls, item: SessionContainer) -> Self:
        """Return ``item`` as it is answered."""
        return cls(
            session=item.session,
            instance=item.instance,
            container_id=item.container_id,
            is_running=item.is_running,
            created_at=item.created_at,
        )


class SessionList(Answer):
    """The containers of sessions, oldest first; sessions that share the server's own are not here."""

    items: list[SessionAnswer]


class ConnectAnswer(Answer):
    """How to reach the server."""

    name: str
    endpoint: str
    key_placeholder: str = Field(description="Stands where the endpoint key goes.")
    mcp_json: dict[str, Any] = Field(description="The general snippet as an object.")
    clients: list[ClientConfigAnswer]
    manifest: dict[str, Any] | None
