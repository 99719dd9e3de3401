"""From what somebody asks for to a member: the server exists, the bundle's owner may use it, and its settings are right."""

from dataclasses import replace

from appliance.accounts.access import Thing, may
from appliance.accounts.model import Action, Principal
from appliance.accounts.orgs.store import standings
from appliance.bundles.holding import may_hold
from appliance.bundles.model import Member, MemberConfig, NewMember
from appliance.bundles.naming import check_member, default_prefix
from appliance.core.errors import InvalidError
from appliance.servers import store as servers
from appliance.servers.model import DesiredState


def members_of(
    principal: Principal, whose: Thing, wanted: tuple[NewMember, ...]
) -> list[Member]:
    """Return the members that are asked for; what is wrong is named by its place in the list."""
    found: list[Member] = []
    for index, new in enumerate(wanted):
        try:
            member = member_of(principal, whose, new)
        except InvalidError as error:
            fields = {
                f"members.{index}.{name}": text for name, text in error.fields.items()
            }
            raise InvalidError(error.detail, fields=fields) from error
        if any(item.server_id == member.server_id for item in found):
            raise InvalidError.field(
                f"members.{index}.server", f"{member.server} is in the list already"
            )
        found.append(member)
    return found


def member_of(principal: Principal, whose: Thing, new: NewMember) -> Member:
    """Return the member that is asked for.

    Args:
        principal: Who asks.
        whose: The bundle, be it one that is about to be made.
        new: What they ask for.

    Raises:
        InvalidError: There is no such server, the bundle's owner may not use it, or a field is wrong.
    """
    server = (
        servers.find_by_id(new.server)
        if isinstance(new.server, int)
        else servers.find(new.server)
    )
    if (
        server is None
        or server.desired_state is DesiredState.DELETED
        or not may(principal, Action.SEE, server.thing)
    ):
        raise InvalidError.field("server", f"there is no server {new.server}")
    owner = standings([whose.owner_id]).get(whose.owner_id) if whose.owner_id else None
    if not may_hold(owner, whose.org_id, server.thing):
        raise InvalidError.field(
            "server", f"{server.name} does not belong to whom this bundle belongs to"
        )
    config = _completed(server.name, new.config)
    check_member(config)
    return Member(
        server.id, server.name, server.status.value, is_permitted=True, config=config
    )


def _completed(server: str, config: MemberConfig) -> MemberConfig:
    return config if config.prefix else replace(config, prefix=default_prefix(server))
