"""What can go wrong with services."""

from appliance.core.errors import (
    ConflictError,
    FailedError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)


class ServiceNotFoundError(NotFoundError):
    """The server has no such service."""

    code = "service_not_found"


class ServiceInvalidError(InvalidError):
    """A field of a service is wrong."""

    code = "service_invalid"


class VariableTakenError(ConflictError):
    """Something else sets the variable already."""

    code = "service_variable_taken"


class ServiceElsewhereError(ConflictError):
    """The server runs elsewhere; nothing can be put into its environment."""

    code = "service_elsewhere"


class AddressForbiddenError(ForbiddenError):
    """The hub does not connect there for this person."""

    code = "service_address_forbidden"


class ProbeFailedError(FailedError):
    """The service did not answer as it should."""

    code = "service_test_failed"
