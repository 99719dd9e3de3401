"""What a token may be for: one of this box's endpoints, for somebody who may call it. Runs inside ``database.run``."""

from collections.abc import Collection

from appliance.accounts.access import may
from appliance.accounts.model import Action, Principal
from appliance.core.oauth import Resource, origin_of, resource_of
from appliance.oauth import grant_store
from appliance.oauth.errors import bad_target

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def origins(
    *,
    gateway_url: str | None,
    hub_url: str | None,
    gateway_port: int,
    hosts: Collection[str],
) -> frozenset[str]:
    """Return where a resource may lie. Pure.

    A host that somebody made up must not be among them: a token for it would be worth something here.

    Args:
        gateway_url: GATEWAY_PUBLIC_URL: then it is the only place.
        hub_url: PUBLIC_URL: what stands before both may send clients of either there.
        gateway_port: Of the gateway on this box.
        hosts: Names under which the box is reached.
    """
    if gateway_url:
        return frozenset({origin_of(gateway_url)})
    names = {_bracketed(host) for host in hosts if host} | set(_LOOPBACK)
    found = {origin_of(f"http://{name}:{gateway_port}") for name in names}
    return frozenset(found | ({origin_of(hub_url)} if hub_url else set()))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def checked(url: str, allowed: frozenset[str]) -> Resource:
    """Return the endpoint that a ``resource`` parameter names. Pure.

    Raises:
        OAuthError: It names none of ours.
    """
    if not url:
        raise bad_target("resource is missing: name the MCP endpoint that the token is for.")  # fmt: skip
    found = resource_of(url)
    # Whether it is a domain of this box is known where its server is looked up.
    is_domain = found is not None and found.endpoint.kind == "domains"
    if found is None or (found.origin not in allowed and not is_domain):
        raise bad_target(f"{url[:200]} is no endpoint of this box.")
    return found


def require_callable(principal: Principal, resource: Resource, base: str = "") -> None:
    """Raise ``OAuthError`` unless there is such an endpoint and the principal may call it.

    Args:
        principal: Who shall be able to.
        resource: The endpoint.
        base: BASE_DOMAIN.
    """
    thing = grant_store.thing_at(resource.endpoint, base)
    if thing is None or not may(principal, Action.CALL, thing):
        kind, name = resource.endpoint.kind[:-1], resource.endpoint.name
        raise bad_target(f"There is no {kind} {name} that this person may call.")
