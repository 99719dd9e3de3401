"""What a client may have of what it asks for. Pure."""

from appliance.core.oauth import CALL_SCOPE, READ_SCOPE, SCOPES
from appliance.oauth.errors import bad_scope

#: As the consent page says it.
WORDS = {
    READ_SCOPE: "See its tools, read its resources and prompts",
    CALL_SCOPE: "Call its tools",
}


def asked(text: str, at_most: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the known scopes of a ``scope`` parameter, in our order; all of them if it names none.

    What is not known is left out, as RFC 6749 allows: clients ask for ``offline_access`` and the like everywhere.

    Args:
        text: Words between spaces; empty: not asked.
        at_most: What the client may have at all; empty: everything.

    Raises:
        OAuthError: Nothing of it is known, or the client may have none of it.
    """
    allowed = at_most or SCOPES
    words = text.split()
    found = tuple(
        scope for scope in SCOPES if scope in allowed and (not words or scope in words)
    )
    if not found:
        raise bad_scope(f"None of these scopes can be had: {text[:200]}. Known are {' '.join(allowed)}.")  # fmt: skip
    return found


def narrowed(granted: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return what a refreshed token may have of what was granted.

    Raises:
        OAuthError: More was asked for than was granted.
    """
    known = [word for word in text.split() if word in SCOPES]
    if any(word not in granted for word in known):
        raise bad_scope("More scopes are asked for than were granted; ask the person again.")  # fmt: skip
    return tuple(scope for scope in granted if not known or scope in known)
