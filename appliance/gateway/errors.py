"""What keeps the gateway from carrying a call. ``http`` says which status each becomes."""

from http import HTTPStatus

from appliance.core.errors import (
    FailedError,
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


def not_for_clients(name: str, status: int) -> ConnectionLostError:
    """Return what clients are told of an answer that was for the gateway: its server asks who it is, or is elsewhere."""
    text = f"The server behind {name} answered {status}."
    if status == HTTPStatus.UNAUTHORIZED:
        text = f"The server behind {name} wants authorization of its own (401), and the gateway has none for it."
    return ConnectionLostError(text)
