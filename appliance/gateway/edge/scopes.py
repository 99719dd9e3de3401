"""Which part of what a person may do is needed for a message. Pure.

Tokens and keys may be narrowed to reading, or to calling. Whoever is narrowed sends one message at a time, and it is written
anew from what was read here, so that no server reads another method in it than we did.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET

from appliance.core.oauth import CALL_SCOPE, READ_SCOPE
from appliance.gateway.protocol import wire

#: Of opening, of keeping a session up, and of what only answers the server.
_FREE: Final = frozenset(
    {"", "initialize", "ping", "server/discover", "logging/setLevel"}
)
_FREE_PREFIXES: Final = ("notifications/",)
_READING: Final = ("resources/", "prompts/", "completion/", "subscriptions/")
_LIST_TOOLS: Final = "tools/list"
_CALLING: Final = ("tools/call", "tasks/")


class ScopeError(Exception):
    """What was shown does not reach so far.

    Args:
        needed: What the message needs, and is lacking.
    """

    def __init__(self, needed: frozenset[str]) -> None:
        """Make the message."""
        what = " and ".join(sorted(needed))
        super().__init__(f"This needs the scope {what}.")
        self.needed = needed


def needed_for(method: str) -> frozenset[str]:
    """Return the scopes that a method needs; one that nobody knows needs them all."""
    if method in _FREE or method.startswith(_FREE_PREFIXES):
        return frozenset()
    if method == _LIST_TOOLS or method.startswith(_READING):
        return frozenset({READ_SCOPE})
    if method.startswith(_CALLING):
        return frozenset({CALL_SCOPE})
    return frozenset({READ_SCOPE, CALL_SCOPE})


def narrowed_body(body: bytes, lacking: frozenset[str]) -> bytes:
    """Return the message in ``body`` for the server.

    Args:
        body: As the client sent it.
        lacking: The scopes that what it showed does not have.

    Raises:
        ScopeError: The message needs one of them.
        WireError: It is not one message.
    """
    message = wire.decode_body(body)
    needed = needed_for("" if message.method is UNSET else message.method) & lacking
    if needed:
        raise ScopeError(needed)
    return wire.encode(message)


def lacking_of(scope: Mapping[str, Any] | None) -> frozenset[str] | None:
    """Return which scopes a key lacks that was narrowed to some actions; ``None``: it may do nothing at all here.

    Args:
        scope: ``actions``, a list of ``see``, ``call`` and others, or nothing: then it is not narrowed. Calling without
            seeing is of no use, so whoever may call may see.
    """
    actions = None if scope is None else scope.get("actions")
    if actions is None or "call" in actions:
        return frozenset()
    return frozenset({CALL_SCOPE}) if "see" in actions else None
