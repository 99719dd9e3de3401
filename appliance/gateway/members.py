"""The members of a bundle, as the routing table carries them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Override:
    """What a bundle says of a tool instead of what its server says."""

    #: The whole name that clients see, without any prefix; empty: prefix and the server's own name.
    name: str = ""
    #: Empty: the server's own.
    description: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One server in a bundle."""

    server_id: int
    #: The server's name; empty when it goes.
    server: str
    prefix: str
    #: Whether the bundle's owner may use the server now; it may have changed hands since it was added.
    is_permitted: bool = True
    #: Names of the server's tools that are offered; ``None``: all.
    tools: frozenset[str] | None = None
    #: By the server's own name of the tool.
    overrides: dict[str, Override] = field(default_factory=dict)


def members_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Member, ...]:
    """Return the members that the view ``gateway_bundles`` tells of, in their order."""
    return tuple(
        Member(
            server_id=row["server_id"],
            server=row["server"],
            prefix=row["prefix"],
            is_permitted=row["is_permitted"],
            tools=None if row["tools"] is None else frozenset(row["tools"]),
            overrides={
                tool: Override(said.get("name") or "", said.get("description") or "")
                for tool, said in row["overrides"].items()
            },
        )
        for row in rows
    )
