"""What the services about people share: who somebody is by number, addresses, and lines of the audit trail."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from appliance.accounts.attempts import MAX_EMAIL
from appliance.accounts.errors import NotAllowedError
from appliance.accounts.model import Principal
from appliance.core.errors import InvalidError, UnauthenticatedError
from appliance.observability.audit import record

_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+")


def person_of(principal: Principal) -> int:
    """Return the number of the person who asks.

    Raises:
        NotAllowedError: A service key asks, which has no account.
        UnauthenticatedError: The system itself does.
    """
    if principal.user_id is not None:
        return principal.user_id
    if principal.org_id is not None:
        raise NotAllowedError(
            "A key that acts for an organisation has no account of its own.",
            hint="Use a key of a person.",
        )
    raise UnauthenticatedError("The system itself has no account.")


def check_email(email: str) -> str:
    """Return the address as it is stored.

    Raises:
        InvalidError: It is not ``somebody@somewhere``.
    """
    normal = unicodedata.normalize("NFKC", email).strip()
    if len(normal) > MAX_EMAIL or not _EMAIL.fullmatch(normal):
        raise InvalidError.field("email", "give an address such as ada@example.org")
    return normal


def audit_user(  # noqa: PLR0913 - the columns of one line
    principal: Principal,
    action: str,
    user_id: int,
    email: str,
    *,
    details: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write a line about a person; runs inside ``database.run``."""
    record(
        principal,
        action,
        object_type="user",
        object_id=user_id,
        object_name=email,
        details=details,
        before=before,
        after=after,
    )
