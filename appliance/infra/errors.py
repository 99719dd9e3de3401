"""What the doors to the outside report, for rooms that do not open those doors themselves. Pure."""

from appliance.core.errors import ConflictError, UnavailableError


class EngineUnavailableError(UnavailableError):
    """The container engine does not answer."""

    code = "engine_unavailable"


class PortInUseError(ConflictError):
    """Another program listens where one of our processes should."""

    code = "port_in_use"
