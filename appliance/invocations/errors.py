"""What can be wrong with a question about invocations."""

from appliance.core.errors import NotFoundError


class InvocationNotFoundError(NotFoundError):
    """There is no such invocation of this server, or it is older than what is kept."""

    code = "invocation_not_found"
