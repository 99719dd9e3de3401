"""What callers say about bundles, and how bundles look, in JSON."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from appliance.bundles.model import (
    DEFAULT_SEPARATOR,
    BundleChange,
    Member,
    MemberConfig,
    NewBundle,
    NewMember,
    OfferedTool,
    Override,
)
from appliance.bundles.service import BundleView
from appliance.web.api.answer import Answer
from appliance.web.api.org_bodies import OF_ORG, ORG, OWNER
from appliance.web.parsing import Input
from appliance.web.requests import named

PREFIX = (
    "Before the names of its tools and prompts; absent: made from the server's name."
)
TOOLS = "The only tools that are offered, by the server's own names; absent: all."
OVERRIDES = "By the server's own name of the tool."


class OverrideBody(Input):
    """What the bundle says of a tool instead of what its server says."""

    name: str = Field(
        "",
        description="The whole name that clients see, without any prefix; empty: prefix and own name.",
    )
    description: str = Field("", description="Empty: the server's own.")


class MemberBody(Input):
    """How a server takes part in a bundle."""

    prefix: str = Field("", description=PREFIX)
    tools: list[str] | None = Field(None, description=TOOLS)
    overrides: dict[str, OverrideBody] = Field({}, description=OVERRIDES)

    def config(self) -> MemberConfig:
        """Return the settings; the service checks their values."""
        return MemberConfig(
            prefix=self.prefix,
            tools=None if self.tools is None else tuple(self.tools),
            overrides={
                tool: Override(said.name, said.description)
                for tool, said in self.overrides.items()
            },
        )


class NewMemberBody(MemberBody):
    """A server that shall be in the bundle."""

    server: int | str = Field(description="Id or name of the server.")

    def new_member(self) -> NewMember:
        """Return what is asked for."""
        return NewMember(self.server, self.config())


class NewBundleBody(Input):
    """A bundle to make."""

    name: str = Field(description="Lower-case DNS label; part of the endpoint.")
    description: str = Field(
        "", description="For people, and first in what clients read as instructions."
    )
    separator: str = Field(
        DEFAULT_SEPARATOR,
        description="Between a prefix and the name of a tool: 1 to 4 of letters, digits, `_`, `.`, `-`.",
    )
    members: list[NewMemberBody] = Field(
        [], description="In the order in which clients see their tools."
    )
    org: str | None = Field(None, description=OF_ORG)

    def new_bundle(self) -> NewBundle:
        """Return what is asked for."""
        members = tuple(member.new_member() for member in self.members)
        org = named(self.org) if self.org else None
        return NewBundle(self.name, self.description, self.separator, members, org)


class BundleChangeBody(Input):
    """What shall be otherwise; what is absent stays."""

    description: str | None = None
    separator: str | None = None
    members: list[NewMemberBody] | None = Field(
        None, description="All of them, in their new order."
    )

    def change(self) -> BundleChange:
        """Return what is asked for."""
        members = (
            None
            if self.members is None
            else tuple(member.new_member() for member in self.members)
        )
        return BundleChange(self.description, self.separator, members)


class BundleQuery(Input):
    """Which bundles."""

    q: str = Field("", max_length=200, description="Part of the name.")
    cursor: str = Field(
        "", max_length=200, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Bundles a page.")


class MemberAnswer(Answer):
    """A server in a bundle."""

    server_id: int
    server: str
    status: str = Field(description="Of the server.")
    is_permitted: bool = Field(
        description="Whether the bundle's owner may use the server still; if not, it is left out."
    )
    prefix: str
    tools: list[str] | None = Field(description=TOOLS)
    overrides: dict[str, OverrideBody] = Field(description=OVERRIDES)

    @classmethod
    def of(cls, member: Member) -> Self:
        """Return ``member`` as it is answered."""
        config = member.config
        return cls(
            server_id=member.server_id,
            server=member.server,
            status=member.status,
            is_permitted=member.is_permitted,
            prefix=config.prefix,
            tools=None if config.tools is None else list(config.tools),
            overrides={
                tool: OverrideBody(name=said.name, description=said.description)
                for tool, said in config.overrides.items()
            },
        )


class BundleAnswer(Answer):
    """One bundle."""

    id: int
    name: str
    owner_id: int = Field(description=OWNER)
    org_id: int | None = Field(description=ORG)
    org: str = Field(description="The organisation's name; empty: none.")
    description: str
    separator: str
    endpoint: str = Field(description="Where MCP clients reach the bundle.")
    endpoint_key_prefix: str = Field(
        description="The first characters of the endpoint key."
    )
    members: list[MemberAnswer] = Field(
        description="In the order in which clients see their tools."
    )
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: BundleView) -> Self:
        """Return ``view`` as it is answered."""
        bundle = view.bundle
        return cls(
            id=bundle.id,
            name=bundle.name,
            owner_id=bundle.owner_id,
            org_id=bundle.org_id,
            org=view.org,
            description=bundle.description,
            separator=bundle.separator,
            endpoint=view.endpoint,
            endpoint_key_prefix=bundle.endpoint_key_prefix,
            members=[MemberAnswer.of(member) for member in bundle.members],
            created_at=bundle.created_at,
            updated_at=bundle.updated_at,
        )


class CreatedBundle(Answer):
    """A new bundle and its key."""

    bundle: BundleAnswer
    endpoint_key: str = Field(description="Opens the bundle; shown this once.")


class BundlePage(Answer):
    """Some bundles, by name."""

    items: list[BundleAnswer]
    next_cursor: str | None = Field(
        description="Give it as `cursor` for the next page; null: this was the last."
    )


class BundleToolAnswer(Answer):
    """A member's tool in a bundle."""

    name: str | None = Field(
        description="What clients call it; null: it cannot be offered under its name."
    )
    own_name: str = Field(description="What its server calls it.")
    server: str
    prefix: str
    is_offered: bool
    description: str
    input_schema: dict[str, Any]
    warning: str = Field(
        description="What some clients will not like about it; empty: nothing."
    )

    @classmethod
    def of(cls, tool: OfferedTool) -> Self:
        """Return ``tool`` as it is answered."""
        return cls(
            name=tool.name,
            own_name=tool.own_name,
            server=tool.server,
            prefix=tool.prefix,
            is_offered=tool.is_offered,
            description=tool.description,
            input_schema=dict(tool.schema),
            warning=tool.warning,
        )


class BundleToolList(Answer):
    """The tools of a bundle's members, as their last probes found them."""

    items: list[BundleToolAnswer]
