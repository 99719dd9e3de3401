"""Whose server it is: who may know of it, who may change it, and what the trail says of that. Runs inside ``database.run``."""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from appliance.accounts.access import require_found
from appliance.accounts.model import Action, Principal
from appliance.observability import audit
from appliance.servers import store
from appliance.servers.config import config_as_dict
from appliance.servers.errors import ServerDeletedError, ServerNotFoundError
from appliance.servers.model import DesiredState, Server, ServerConfig


def visible_server(principal: Principal, server: int | str) -> Server:
    """Return a server that the principal may know of.

    Raises:
        ServerNotFoundError: They may not, or there is none.
    """
    return _allowed(principal, server, Action.SEE)


def visible_id(principal: Principal, server: int | str) -> int:
    """Return the number of a server that the principal may know of.

    Raises:
        ServerNotFoundError: They may not, or there is none.
    """
    return visible_server(principal, server).id


def writable_server(
    principal: Principal, server: int | str, action: Action = Action.CHANGE
) -> Server:
    """Return a server with which the principal may do something.

    Raises:
        ServerNotFoundError: They may not know of it, or there is none.
        NotAllowedError: They may see it, not do this.
        ServerDeletedError: It is being deleted.
    """
    found = _allowed(principal, server, action)
    if found.desired_state is DesiredState.DELETED:
        raise ServerDeletedError(f"{found.name} is being deleted.")
    return found


def _allowed(principal: Principal, server: int | str, action: Action) -> Server:
    found = store.find_by_id(server) if isinstance(server, int) else store.find(server)
    missing = ServerNotFoundError(f"There is no server {server}.")
    return require_found(principal, action, found, missing)


def record_write(  # noqa: PLR0913 - the columns of one line
    actor: audit.Actor,
    action: str,
    server: Server,
    details: Mapping[str, Any] | None = None,
    *,
    outcome: audit.Outcome = audit.Outcome.ALLOWED,
    before: ServerConfig | Mapping[str, Any] | None = None,
    after: ServerConfig | Mapping[str, Any] | None = None,
) -> None:
    """Write into the trail what somebody did with a server, or was kept from doing.

    Args:
        actor: Who.
        action: What.
        server: With which.
        details: What else belongs to it.
        outcome: What became of it.
        before: Its configuration as it was, or what else changed of it.
        after: The same as it is now.
    """
    audit.record(
        actor,
        action,
        object_type="server",
        object_id=server.id,
        object_name=server.name,
        outcome=outcome,
        details=details,
        before=_told(before) if isinstance(before, ServerConfig) else before,
        after=_told(after) if isinstance(after, ServerConfig) else after,
    )


def _told(config: ServerConfig) -> dict[str, Any]:
    """Return a configuration for the trail: that a setting or the arguments changed shows, no value of them does.

    They hold secrets at times, which somebody takes out later; the trail keeps what it was told.
    """
    found = config_as_dict(config)
    environment = found.pop("environment", None) or {}
    found["arguments"] = SecretStr(repr(found.get("arguments")))
    return found | {
        f"environment.{name}": SecretStr(str(value))
        for name, value in environment.items()
    }
