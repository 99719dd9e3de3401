"""Who may use which endpoint. Pure.

Nobody learns which servers exist: without a key, or with one that is not known, the answer is 401 for every name; with a
key that does not open a server it is 404, the same as for a name that nobody uses.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from appliance.core.ids import key_hash
from appliance.gateway.edge.scopes import lacking_of
from appliance.gateway.routes import Route, RoutingTable, UserKey

_OURS = re.compile(r"mcp[hsb]_[\w-]{43}", re.ASCII)


class Denial(Enum):
    """Why a call is not let in."""

    NO_KEY = "no key"
    UNKNOWN_KEY = "unknown key"
    NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True)
class BadToken:
    """An access token was shown that is not taken."""

    #: Said to whoever showed it.
    why: str
    #: The key that signed it, if that is not known yet; empty: that is not what is wrong.
    kid: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that is let in."""

    route: Route
    #: ``server:12`` or ``bundle:3`` (the endpoint's own key), ``user:5``, ``key:9`` (an organisation's) or ``hub``.
    #: Sessions are bound to it.
    principal: str
    #: The person's key that was used; ``None``: it was another kind of key.
    user_key: UserKey | None = None
    #: What is not granted with it.
    lacking: frozenset[str] = frozenset()
    #: The client that showed an access token; empty: a key was shown.
    token_of: str = ""
    token_expires_at: float | None = None

    @property
    def expires_at(self) -> float | None:
        """Seconds since the epoch; ``None``: what was shown never expires."""
        if self.token_of:
            return self.token_expires_at
        return None if self.user_key is None else self.user_key.expires_at


def bearer(headers: Mapping[str, str]) -> str | None:
    """Return what a request shows in ``Authorization``."""
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    return (value.strip() or None) if scheme.lower() == "bearer" else None


def presented_key(headers: Mapping[str, str]) -> str | None:
    """Return the key that a request carries."""
    return bearer(headers) or headers.get("X-API-Key", "").strip() or None


def is_ours(key: str) -> bool:
    """Whether what was shown has the form of the keys that people, servers and bundles get (``core.ids.new_key``)."""
    return _OURS.fullmatch(key) is not None


def admit(
    table: RoutingTable,
    internal_key_hash: bytes,
    key: str | None,
    name: str,
    *,
    at: float,
    is_bundle: bool = False,
) -> Admission | Denial:
    """Decide whether a key opens a server, or a bundle. A bundle's own key opens none of its members directly.

    Args:
        table: The routes and keys of now.
        internal_key_hash: Of the hub's own key, which opens every server.
        key: As presented; ``None``: none was.
        name: Of the server or the bundle.
        at: Seconds since the epoch, for keys that expire.
        is_bundle: Whether a bundle is asked for.
    """
    if key is None:
        return Denial.NO_KEY
    hashed = key_hash(key)
    route = (table.bundles if is_bundle else table.routes).get(name)
    principal: str | None = "hub"
    opens = True
    if not hmac.compare_digest(hashed, internal_key_hash):
        principal, opens = _holder(table, hashed, route, at)
    if principal is None:
        return Denial.UNKNOWN_KEY
    if route is None or not opens:
        return Denial.NOT_FOUND
    user_key = table.user_keys.get(hashed)
    lacking = _lacking(user_key, route)
    if lacking is None:
        return Denial.NOT_FOUND
    return Admission(route, principal, user_key, lacking)


def at_instance(admission: Admission, table: RoutingTable, wanted: str) -> Admission:
    """Return the admission of the hub to the one instance that it names; one that is not known does not run.

    It asks an instance that is to take over before any client is sent there.
    """
    route = admission.route
    number = int(wanted) if wanted.isascii() and wanted.isdigit() else 0
    found = table.at_instance(route.name, number)
    if found is None:
        found = replace(route, instance_id=None, container_id="", address="")
    return replace(admission, route=found)


def _holder(
    table: RoutingTable, hashed: bytes, route: Route | None, at: float
) -> tuple[str | None, bool]:
    """Return whose key it is (``None``: nobody's) and whether it opens ``route``."""
    if (server_id := table.endpoint_keys.get(hashed)) is not None:
        return f"server:{server_id}", route is not None and route.server_id == server_id
    if (bundle_id := table.bundle_keys.get(hashed)) is not None:
        return f"bundle:{bundle_id}", route is not None and route.bundle_id == bundle_id
    user_key = table.user_keys.get(hashed)
    if user_key is None or (
        user_key.expires_at is not None and user_key.expires_at <= at
    ):
        return None, False
    if user_key.user_id is None:
        org_id = None if route is None else route.org_id
        opens = org_id is not None and org_id == user_key.org_id
        return f"key:{user_key.key_id}", opens
    opens = route is not None and may_call(table, user_key.user_id, route)
    return f"user:{user_key.user_id}", opens


def _lacking(key: UserKey | None, route: Route) -> frozenset[str] | None:
    """Return what a key does not grant at an endpoint; ``None``: everything."""
    if key is None or key.scope is None:
        return frozenset()
    servers = key.scope.get("servers")
    if servers is not None and route.server_id not in servers:
        return None
    return lacking_of(key.scope)


def may_call(table: RoutingTable, user_id: int, route: Route) -> bool:
    """Return whether a person may call a server or a bundle: their own, their organisations', or any."""
    person = table.people.get(user_id)
    if person is None:
        return False
    if person.every_server:
        return True
    if route.org_id is not None:
        return route.org_id in person.org_ids
    return route.owner_id == user_id
