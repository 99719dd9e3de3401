"""Whom a provider's claims speak of. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.accounts.model import Arrival
from appliance.signin.errors import TokenError
from appliance.signin.model import Claims, Client

_MAX_GROUPS = 5000


def is_whole(claims: Claims, client: Client) -> bool:
    """Return whether an ID token says all that is read, so that nothing more needs to be asked for."""
    return all(
        _found(claims, name) is not None
        for name in (client.email_claim, client.group_claim)
    )


def arrival_of(claims: Claims, told: Claims, client: Client) -> Arrival:
    """Return who comes.

    Args:
        claims: Of the ID token.
        told: By the userinfo endpoint, about the same person; what the ID token says goes before it.
        client: What is read, and from where.

    Raises:
        TokenError: The second speaks of somebody else, or not all groups are told.
    """
    if told and told.get("sub") != claims["sub"]:
        raise TokenError("the userinfo endpoint speaks of somebody else")
    whole = {**told, **claims}
    # Where somebody has more groups than fit, some providers name another place; to read none would take rights away.
    names = whole.get("_claim_names")
    if isinstance(names, Mapping) and client.group_claim in names:
        raise TokenError(
            "it has more groups than it lists; have the provider send only those that matter here"
        )
    email = _found(whole, client.email_claim)
    email = email.strip() if isinstance(email, str) else ""
    return Arrival(
        issuer=client.issuer,
        subject=str(claims["sub"]),
        email=email,
        is_verified=bool(email) and _is_verified(whole, client),
        groups=_texts(_found(whole, client.group_claim)),
    )


def _is_verified(claims: Claims, client: Client) -> bool:
    said = claims.get("email_verified")
    if said is None or client.email_claim != "email":
        return client.trusts_email
    # Some providers write it as a text.
    return said is True or said == "true"


def _found(claims: Claims, name: str) -> Any:
    """Return a claim by its name, or by the way that the dots in it lead."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(value: Any) -> frozenset[str]:
    items = value[:_MAX_GROUPS] if isinstance(value, list) else [value]
    return frozenset(item for item in items if isinstance(item, str) and item)
