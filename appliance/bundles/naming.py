"""What a bundle's members may be called, so that every name leads to one tool of one of them. Pure."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from appliance.bundles.model import Member, MemberConfig, OfferedTool, Override
from appliance.core.errors import InvalidError
from appliance.core.tool_names import (
    ADVISED_NAME,
    MAX_NAME,
    entangled,
    exposed_name,
    is_name,
)

MAX_MEMBERS = 50
MAX_PREFIX = 64
MAX_TOOLS = 1000
MAX_DESCRIPTION = 4096
_SEPARATOR = re.compile(r"[A-Za-z0-9_.-]{1,4}")
CHARACTERS = "letters, digits, _, . and -"


def check_texts(description: str, separator: str) -> None:
    """Raise ``InvalidError`` unless both are within bounds."""
    if len(description) > MAX_DESCRIPTION:
        raise InvalidError.field(
            "description", f"give at most {MAX_DESCRIPTION} characters"
        )
    if not _SEPARATOR.fullmatch(separator):
        raise InvalidError.field(
            "separator", f"give 1 to 4 of {CHARACTERS}, such as __"
        )


def default_prefix(server: str) -> str:
    """Return the prefix of a server that was given none: its name, in characters that every model API takes."""
    return server.replace("-", "_")


def check_member(config: MemberConfig) -> None:
    """Raise ``InvalidError`` naming every field of one member that is wrong by itself."""
    problems = {}
    if len(config.prefix) > MAX_PREFIX or not is_name(config.prefix):
        problems["prefix"] = f"give 1 to {MAX_PREFIX} of {CHARACTERS}"
    if config.tools is not None and (
        len(config.tools) > MAX_TOOLS or not all(config.tools)
    ):
        problems["tools"] = f"give at most {MAX_TOOLS} names"
    if len(config.overrides) > MAX_TOOLS:
        problems["overrides"] = f"give at most {MAX_TOOLS} tools"
    for tool, said in config.overrides.items():
        if said.name and not is_name(said.name):
            problems[f"overrides.{tool}.name"] = f"use 1 to {MAX_NAME} of {CHARACTERS}"
        if len(said.description) > MAX_DESCRIPTION:
            problems[f"overrides.{tool}.description"] = (
                f"give at most {MAX_DESCRIPTION} characters"
            )
    if problems:
        raise InvalidError("The member is not valid.", fields=problems)


def check_together(members: Sequence[Member], separator: str) -> None:
    """Refuse members whose names would collide.

    Raises:
        InvalidError: Two of them would; names both.
    """
    if len(members) > MAX_MEMBERS:
        raise InvalidError.field("members", f"a bundle has at most {MAX_MEMBERS}")
    heads = {
        member.config.prefix + separator: member.server for member in reversed(members)
    }
    _check_prefixes(members, separator)
    chosen: dict[str, str] = {}
    for member in members:
        for tool, said in member.config.overrides.items():
            if not said.name:
                continue
            field = f"overrides.{tool}.name"
            here = f"{tool} of {member.server}"
            if said.name in chosen:
                raise InvalidError.field(
                    field,
                    f"{chosen[said.name]} and {here} would both be called {said.name}",
                )
            for head, server in heads.items():
                if said.name.startswith(head):
                    raise InvalidError.field(
                        field,
                        f"{said.name} could be a tool of {server}, whose names begin with {head}; call {here} otherwise",
                    )
            chosen[said.name] = here


def _check_prefixes(members: Sequence[Member], separator: str) -> None:
    heads = [member.config.prefix + separator for member in members]
    tangle = entangled(heads)
    if tangle is None:
        return
    first = members[heads.index(tangle[0])]
    # Two equal ones: the second is further on.
    second = members[len(heads) - 1 - heads[::-1].index(tangle[1])]
    names = f"{first.server} ({first.config.prefix}) and {second.server} ({second.config.prefix})"
    raise InvalidError.field(
        "prefix",
        f"names of {names} could be mistaken for each other's; choose a prefix that does not begin another one",
    )


#: What is said of a tool that its server may not show.
HELD = "It is held back until somebody approves it, on its server's page under Review."


def offered_tools(
    member: Member,
    separator: str,
    tools: Iterable[Any],
    allowed: Sequence[str] | None,
    *,
    held: Collection[str] = (),
) -> list[OfferedTool]:
    """Return a member's tools as the bundle offers them.

    Args:
        member: Whose.
        separator: Of the bundle.
        tools: As the server's manifest lists them.
        allowed: The server's own allow-list.
        held: Names of tools that nobody gets before somebody approves them.
    """
    return [
        _offered(member, separator, tool, is_held=tool["name"] in held)
        for tool in tools
        if isinstance(tool, dict)
        and isinstance(tool.get("name"), str)
        and (allowed is None or tool["name"] in allowed)
    ]


def _offered(
    member: Member, separator: str, tool: dict[str, Any], *, is_held: bool
) -> OfferedTool:
    config, own = member.config, tool["name"]
    said = config.overrides.get(own, Override())
    name = exposed_name(config.prefix, separator, own, said.name)
    schema = tool.get("inputSchema")
    return OfferedTool(
        name=name,
        own_name=own,
        server=member.server,
        prefix=config.prefix,
        is_offered=member.is_permitted
        and name is not None
        and not is_held
        and (config.tools is None or own in config.tools),
        description=said.description or str(tool.get("description") or ""),
        override=said,
        schema=schema if isinstance(schema, dict) else {},
        warning=HELD if is_held else _warning(name),
    )


def _warning(name: str | None) -> str:
    if name is None:
        return f"Left out until it has another name: not only {CHARACTERS}, or more than {MAX_NAME} of them."
    if len(name) > ADVISED_NAME:
        return f"{len(name)} characters: many model APIs take at most {ADVISED_NAME}. A shorter prefix helps."
    return ""
