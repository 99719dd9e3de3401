"""Whose server it is: who may know of it, who may change it, and what the trail says of that. Runs inside ``database.run``."""

from collections.abc import Mapping
from typing import Any

from appliance.accounts.model import Principal
from appliance.accounts.roles import require_may_write, visible_owner
from appliance.observability import audit
from appliance.servers import store
from appliance.servers.errors import ServerDeletedError, ServerNotFoundError
from appliance.servers.model import DesiredState, Server


def visible_server(principal: Principal, server: int | str) -> Server:
    """Return a server that the principal may know of.

    Raises:
        ServerNotFoundError: They may not, or there is none.
    """
    found = store.find_by_id(server) if isinstance(server, int) else store.find(server)
    owner = visible_owner(principal)
    if found is None or (owner is not None and found.owner_id != owner):
        raise ServerNotFoundError(f"There is no server {server}.")
    return found


def visible_id(principal: Principal, server: int | str) -> int:
    """Return the number of a server that the principal may know of.

    Raises:
        ServerNotFoundError: They may not, or there is none.
    """
    return visible_server(principal, server).id


def writable_server(principal: Principal, server: int | str) -> Server:
    """Return a server that the principal may change.

    Raises:
        ServerNotFoundError: They may not know of it, or there is none.
        NotAllowedError: They may see it, not change it.
        ServerDeletedError: It is being deleted.
    """
    found = visible_server(principal, server)
    require_may_write(principal, owner_id=found.owner_id)
    if found.desired_state is DesiredState.DELETED:
        raise ServerDeletedError(f"{found.name} is being deleted.")
    return found


def record_write(
    actor: audit.Actor,
    action: str,
    server: Server,
    details: Mapping[str, Any] | None = None,
    *,
    outcome: audit.Outcome = audit.Outcome.ALLOWED,
) -> None:
    """Write into the trail what somebody did with a server, or was kept from doing."""
    audit.record(
        actor,
        action,
        object_type="server",
        object_id=server.id,
        object_name=server.name,
        outcome=outcome,
        details=details,
    )
