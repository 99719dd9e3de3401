"""What a bundle is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from appliance.accounts.access import Kind, Thing

DEFAULT_SEPARATOR = "__"


@dataclass(frozen=True)
class Override:
    """What a bundle says of a tool instead of what its server says; empty: the server's own."""

    #: The whole name that clients see; no prefix is added.
    name: str = ""
    description: str = ""


@dataclass(frozen=True)
class MemberConfig:
    """How a server takes part in a bundle."""

    #: Before the names of its tools and prompts; empty: made from the server's name.
    prefix: str = ""
    #: The only tools that are offered; ``None``: all that the server lets clients use.
    tools: tuple[str, ...] | None = None
    #: By the server's own name of the tool.
    overrides: Mapping[str, Override] = field(default_factory=dict)


@dataclass(frozen=True)
class NewMember:
    """A server that somebody wants in a bundle."""

    #: By id or name.
    server: int | str
    config: MemberConfig = MemberConfig()


@dataclass(frozen=True)
class Member:
    """A server in a bundle."""

    server_id: int
    server: str
    status: str
    #: Whether the bundle's owner may use the server still; if not, the gateway leaves it out.
    is_permitted: bool
    config: MemberConfig


@dataclass(frozen=True)
class Bundle:
    """A virtual server."""

    id: int
    name: str
    #: Whose it is, or, where it is an organisation's, who made it.
    owner_id: int
    #: For people, and first in what clients read as instructions.
    description: str
    #: Between a member's prefix and the name of its tool.
    separator: str
    endpoint_key_prefix: str
    created_at: datetime
    updated_at: datetime
    #: In the order in which clients see their tools.
    members: tuple[Member, ...] = ()
    #: Of the organisation that it belongs to; ``None``: it is ``owner_id``'s own.
    org_id: int | None = None

    @property
    def thing(self) -> Thing:
        """What it is to whoever decides who may do what."""
        return Thing(Kind.BUNDLE, self.id, self.owner_id, self.org_id)


@dataclass(frozen=True)
class NewBundle:
    """What a person asks for."""

    name: str
    description: str = ""
    separator: str = DEFAULT_SEPARATOR
    members: tuple[NewMember, ...] = ()
    #: Number or name of the organisation that it is made for; ``None``: whoever makes it.
    org: int | str | None = None


@dataclass(frozen=True)
class BundleChange:
    """What a person wants otherwise; ``None``: as it is."""

    description: str | None = None
    separator: str | None = None
    #: All of them, in their new order.
    members: tuple[NewMember, ...] | None = None


@dataclass(frozen=True)
class OfferedTool:
    """A member's tool, as the bundle's clients find it."""

    #: What clients call it; ``None``: it cannot be offered under that name.
    name: str | None
    #: What its server calls it.
    own_name: str
    server: str
    prefix: str
    is_offered: bool
    description: str
    #: The override's own text, if any.
    override: Override
    schema: Mapping[str, Any]
    #: What some clients will not like about it; empty: nothing.
    warning: str = ""
