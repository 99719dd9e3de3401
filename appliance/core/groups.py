"""What the groups of an identity provider are worth here, as settings write it. Pure.

``ops=admin, devs=member``; or, for names with commas, a JSON object: ``{"cn=ops,dc=example": "admin"}``.
"""

import json
from typing import Final

ROLES: Final = ("admin", "member", "reader")
MEMBER_ROLES: Final = ("owner", "maintainer", "deployer", "reader")


def role_rules(text: str) -> tuple[tuple[str, str], ...]:
    """Return each group with its role, in the order in which they were written.

    Raises:
        ValueError: It is not of this form, or names a role that there is not; the text says what would be right.
    """
    found = _pairs(text, "ops=admin, devs=member")
    for group, role in found:
        if role not in ROLES:
            raise ValueError(
                f"{group} gives {role!r}; the roles are {', '.join(ROLES)}"
            )
    return found


def org_rules(text: str) -> tuple[tuple[str, str, str], ...]:
    """Return each group with the organisation and what its people are there, such as ``devs=acme:deployer``.

    Raises:
        ValueError: It is not of this form, or names a role that there is not; the text says what would be right.
    """
    found = []
    for group, gives in _pairs(text, "devs=acme:deployer, ops=acme:owner"):
        org, _, role = gives.partition(":")
        if not org or role not in MEMBER_ROLES:
            raise ValueError(
                f"{group} gives {gives!r}; give ORGANISATION:ROLE, the roles are {', '.join(MEMBER_ROLES)}"
            )
        found.append((group, org, role))
    return tuple(found)


def _pairs(text: str, example: str) -> tuple[tuple[str, str], ...]:
    if text.lstrip().startswith("{"):
        return _json_pairs(text, example)
    found = []
    for item in text.split(","):
        if item.strip():
            group, equals, gives = item.rpartition("=")
            if not equals or not group.strip() or not gives.strip():
                raise ValueError(f"{item.strip()!r} is not of the form {example}")
            found.append((group.strip(), gives.strip()))
    return tuple(found)


def _json_pairs(text: str, example: str) -> tuple[tuple[str, str], ...]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(value, str) for value in found.values()
    ):
        raise ValueError(f"must be a JSON object of texts, or such as {example}")
    return tuple((group, value.strip()) for group, value in found.items())
