"""What the doors to the outside report, for rooms that do not open those doors themselves. Pure."""

from appliance.core.errors import UnavailableError


class EngineUnavailableError(UnavailableError):
    """The container engine does not answer."""

    code = "engine_unavailable"
