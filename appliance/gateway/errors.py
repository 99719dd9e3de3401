"""What keeps the gateway from carrying a call. ``http`` says which status each becomes."""

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from appliance.core.errors import (
    FailedError,
    ForbiddenError,
    LimitedError,
    NotFoundError,
    UnavailableError,
)


class BridgeAwayError(UnavailableError):
    """The bridge process does not answer; it is started again by itself."""

    code = "bridge_unavailable"


class EngineAwayError(UnavailableError):
    """The container engine does not answer."""

    code = "engine_unavailable"


class InstanceGoneError(UnavailableError):
    """There is no such container, or it is not one that the bridge may attach to."""

    code = "instance_gone"


class InstanceEndedError(UnavailableError):
    """The container is not running."""

    code = "instance_ended"


class SilentServerError(UnavailableError):
    """The server runs but has not answered ``initialize``."""

    code = "server_silent"


class HandshakeError(FailedError):
    """The server refused ``initialize``."""

    code = "handshake_refused"


class ConnectionLostError(UnavailableError):
    """The connection to the server broke in mid-call."""

    code = "connection_lost"


class SessionStartError(UnavailableError):
    """The engine did not make a container for the session."""

    code = "session_not_started"


class SessionEndedError(UnavailableError):
    """The session was ended while the call was in flight."""

    code = "session_ended"


class SessionsFullError(UnavailableError):
    """As many sessions as the server may have run already."""

    code = "sessions_full"


class TooManySessionsError(LimitedError):
    """As many sessions as one caller may have at the server are busy."""

    code = "too_many_sessions"


class StuckServerError(UnavailableError):
    """The server does not read what it is sent."""

    code = "server_stuck"


class OverlongAnswerError(FailedError):
    """The server's answer is longer than a line may be."""

    code = "answer_too_long"


class TooManyRoundsError(FailedError):
    """The server asks its client back again and again."""

    code = "too_many_rounds"


class NotRunningError(UnavailableError):
    """Nothing runs behind the endpoint."""

    code = "server_not_running"


class CallTimeoutError(UnavailableError):
    """The server did not answer in time."""

    code = "call_timed_out"


class UnknownSessionError(NotFoundError):
    """The session id is not one of this principal's for this server."""

    code = "session_not_found"


class BodyTooLargeError(FailedError):
    """The request's body is longer than allowed."""

    code = "body_too_large"


class UpstreamUnauthorizedError(ConnectionLostError):
    """A remote server wants to know who calls, and nobody here knew that it does.

    Args:
        challenge: What it said in ``WWW-Authenticate``.
    """

    code = "upstream_unauthorized"

    def __init__(self, detail: str, challenge: str) -> None:
        """Keep what it said for the hub."""
        super().__init__(detail)
        self.data: Mapping[str, Any] = {"challenge": challenge[:_CHALLENGE_LETTERS]}


class SigninNeededError(ForbiddenError):
    """The caller has no account at the remote server, or none that may do this.

    Args:
        page: Where people connect theirs.
        scope: What the server wants besides; empty: nobody is signed in.
        challenge: What it said in ``WWW-Authenticate``.
    """

    code = "signin_needed"

    def __init__(
        self, detail: str, page: str, *, scope: str = "", challenge: str = ""
    ) -> None:
        """Keep what the client needs to be told."""
        super().__init__(detail)
        self.page = page
        data = {"url": page, "scope": scope, "challenge": challenge}
        self.data: Mapping[str, Any] = {
            name: text[:_CHALLENGE_LETTERS] for name, text in data.items() if text
        }
        #: Whether it is told to a client that opens addresses.
        self.is_to_opener = False

    def to_opener(self) -> "SigninNeededError":
        """Return the same for a client that opens addresses for its person (revision 2025-11-25)."""
        made = SigninNeededError(self.detail, self.page)
        made.is_to_opener = True
        elicitation = {
            "mode": "url",
            "elicitationId": secrets.token_hex(16),
            "url": self.page,
            "message": self.detail,
        }
        made.data = {**self.data, "elicitations": [elicitation]}
        return made


class TokenNotRenewedError(UnavailableError):
    """The caller's account at the remote server cannot be used just now."""

    code = "token_not_renewed"


_CHALLENGE_LETTERS = 2000


def not_for_clients(
    name: str, status: int, *, is_remote: bool = False, challenge: str = ""
) -> ConnectionLostError:
    """Return what clients are told of an answer that was for the gateway: its server asks who it is, or is elsewhere."""
    text = f"The server behind {name} answered {status}."
    if status == HTTPStatus.UNAUTHORIZED:
        text = f"The server behind {name} wants authorization of its own (401), and the gateway has none for it."
        if is_remote:
            return UpstreamUnauthorizedError(text, challenge)
    return ConnectionLostError(text)
