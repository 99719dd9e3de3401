"""What keeps the gateway from carrying a call. No HTTP here: ``answers`` says which status and JSON-RPC code each becomes."""

from appliance.core.errors import FailedError, UnavailableError


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


class OverlongAnswerError(FailedError):
    """The server's answer is longer than a line may be."""

    code = "answer_too_long"
