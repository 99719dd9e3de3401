"""Forms about bundles, read and filled in. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.bundles.model import (
    DEFAULT_SEPARATOR,
    Bundle,
    Member,
    MemberConfig,
    NewBundle,
    NewMember,
    OfferedTool,
    Override,
)

#: Before the number of a server, or the name of a tool, in the name of its control.
SERVER = "server:"
OFFER, NAME, WORDS = "offer:", "name:", "words:"
WHICH = (
    ("all", "All tools, also those that come later"),
    ("chosen", "Only those ticked below"),
)


@dataclass(frozen=True)
class ToolRow:
    """One tool of a member in the form that chooses and renames."""

    own_name: str
    #: What clients call it now; empty: nothing yet.
    shown_name: str
    is_ticked: bool
    name: str
    description: str
    #: What the server or the bundle says of it now.
    words: str
    warning: str


def empty_form() -> dict[str, str]:
    """Return what the form of a new bundle holds."""
    return {"name": "", "description": "", "separator": DEFAULT_SEPARATOR}


def new_bundle(form: Mapping[str, str]) -> NewBundle:
    """Return the bundle that the form asks for; its members are the servers that are ticked, in the form's order."""
    members = tuple(
        NewMember(int(name[len(SERVER) :]))
        for name in form
        if name.startswith(SERVER) and name[len(SERVER) :].isdigit()
    )
    return NewBundle(
        name=form.get("name", "").strip(),
        description=form.get("description", "").strip(),
        separator=form.get("separator", ""),
        members=members,
        org=form.get("org", "") or None,
    )


def member_config(form: Mapping[str, str]) -> MemberConfig:
    """Return how a member takes part, as its form says."""
    tools = None
    if form.get("which") == "chosen":
        tools = tuple(name[len(OFFER) :] for name in form if name.startswith(OFFER))
    named = {name[len(NAME) :] for name in form if name.startswith(NAME)}
    overrides = {
        tool: Override(form[NAME + tool].strip(), form.get(WORDS + tool, "").strip())
        for tool in sorted(named)
        if form[NAME + tool].strip() or form.get(WORDS + tool, "").strip()
    }
    return MemberConfig(form.get("prefix", "").strip(), tools, overrides)


def moved(bundle: Bundle, server_id: int, by: int) -> tuple[NewMember, ...]:
    """Return the members with one of them ``by`` places further down; at an end it stays."""
    members = [NewMember(item.server_id, item.config) for item in bundle.members]
    place = next(
        (index for index, item in enumerate(members) if item.server == server_id), None
    )
    if place is not None and 0 <= place + by < len(members):
        members.insert(place + by, members.pop(place))
    return tuple(members)


def tool_rows(member: Member, tools: Iterable[OfferedTool]) -> list[ToolRow]:
    """Return a member's tools for its form: those its last probe found, and those that its settings name."""
    config = member.config
    rows = {
        tool.own_name: ToolRow(
            own_name=tool.own_name,
            shown_name=tool.name or "",
            is_ticked=config.tools is None or tool.own_name in config.tools,
            name=tool.override.name,
            description=tool.override.description,
            words=tool.description,
            warning=tool.warning,
        )
        for tool in tools
        if tool.server == member.server
    }
    for name in [*(config.tools or ()), *config.overrides]:
        said = config.overrides.get(name, Override())
        is_ticked = config.tools is None or name in config.tools
        rows.setdefault(
            name,
            ToolRow(
                name,
                "",
                is_ticked,
                said.name,
                said.description,
                "",
                "The server does not list it now.",
            ),
        )
    return list(rows.values())
