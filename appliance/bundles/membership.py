"""From what somebody asks for to a member: the server exists, the bundle's owner may use it, and its settings are right."""

from dataclasses import replace

from appliance.accounts.model import Principal, Role
from appliance.accounts.roles import visible_owner
from appliance.accounts.store import get_user
from appliance.bundles.model import Member, MemberConfig, NewMember
from appliance.bundles.naming import check_member, default_prefix
from appliance.core.errors import InvalidError
from appliance.servers import store as servers
from appliance.servers.model import DesiredState


def members_of(
    principal: Principal, owner_id: int, wanted: tuple[NewMember, ...]
) -> list[Member]:
    """Return the members that are asked for; what is wrong is named by its place in the list."""
    found: list[Member] = []
    for index, new in enumerate(wanted):
        try:
            member = member_of(principal, owner_id, new)
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


def member_of(principal: Principal, owner_id: int, new: NewMember) -> Member:
    """Return the member that is asked for.

    Raises:
        InvalidError: There is no such server, the bundle's owner may not use it, or a field is wrong.
    """
    server = (
        servers.find_by_id(new.server)
        if isinstance(new.server, int)
        else servers.find(new.server)
    )
    visible = visible_owner(principal)
    if (
        server is None
        or server.desired_state is DesiredState.DELETED
        or (visible is not None and server.owner_id != visible)
    ):
        raise InvalidError.field("server", f"there is no server {new.server}")
    if server.owner_id != owner_id and not _is_administrator(owner_id):
        raise InvalidError.field(
            "server", f"{server.name} does not belong to this bundle's owner"
        )
    config = _completed(server.name, new.config)
    check_member(config)
    return Member(
        server.id, server.name, server.status.value, is_permitted=True, config=config
    )


def _completed(server: str, config: MemberConfig) -> MemberConfig:
    return config if config.prefix else replace(config, prefix=default_prefix(server))


def _is_administrator(user_id: int) -> bool:
    found = get_user(user_id)
    return found is not None and found[0].role is Role.ADMIN
