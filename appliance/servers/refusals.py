"""What it means that a remote server answered 401: perhaps nothing is wrong with it, and people are to sign in."""

from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from appliance.core.errors import DomainError
from appliance.servers.mcp_answers import McpCallError, McpUnavailableError

#: The gateway's words for a server that answered 401: nobody knew that it would, and everybody does.
UNKNOWN, KNOWN = "upstream_unauthorized", "signin_needed"


class Signins(Protocol):
    """Finds out where people sign in."""

    async def recognise(self, server_id: int, challenge: str) -> bool:
        """Return whether people sign in at a server that answered 401; remembers it."""
        ...


@dataclass(frozen=True)
class Refusal:
    """A server answered 401."""

    #: Whether it was known that it does.
    is_known: bool
    #: What it said in ``WWW-Authenticate``.
    challenge: str


def refusal_of(error: DomainError) -> Refusal | None:
    """Return what a 401 of a remote server said; ``None``: it is another error."""
    if not isinstance(error, McpCallError | McpUnavailableError):
        return None
    if error.gateway_code not in {UNKNOWN, KNOWN}:
        return None
    return Refusal(error.gateway_code == KNOWN, _challenge(error.answer))


def _challenge(answer: bytes) -> str:
    try:
        found: Any = orjson.loads(answer)["error"]["data"]["challenge"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else ""
