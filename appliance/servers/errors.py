"""What the product refuses about servers."""

from appliance.core.errors import ConflictError, InvalidError, NotFoundError


class ServerNotFoundError(NotFoundError):
    """There is no such server, or the caller may not know of it."""

    code = "server_not_found"


class ServerNameTakenError(ConflictError):
    """Another server has the name."""

    code = "server_name_taken"


class ServerDeletedError(ConflictError):
    """The server is being deleted."""

    code = "server_deleted"


class ServerNotRunningError(ConflictError):
    """The action needs a running server."""

    code = "server_not_running"


class NoBuildError(NotFoundError):
    """The server has no build to show."""

    code = "no_build"


class CallRefusedError(InvalidError):
    """The server does not know the tool, or not these arguments."""

    code = "call_refused"
