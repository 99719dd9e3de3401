"""What is refused about domains."""

from appliance.core.errors import ConflictError, InvalidError, NotFoundError


class DomainNotFoundError(NotFoundError):
    """The server has no such domain."""

    code = "domain_not_found"


class InvalidDomainError(InvalidError):
    """The name cannot be a domain here; says why."""

    code = "domain_invalid"


class DomainExistsError(ConflictError):
    """The server has the domain already."""

    code = "domain_exists"


class DomainTakenError(ConflictError):
    """The name was shown to be somebody's already; says not whose."""

    code = "domain_taken"


class DomainInUseError(ConflictError):
    """Another name of the server sends its visitors there."""

    code = "domain_in_use"


class TooManyDomainsError(ConflictError):
    """The server has as many as one may have."""

    code = "domains_full"


class FrontDoorOffError(ConflictError):
    """Nothing looks at domains on this box, and nothing serves them."""

    code = "front_door_off"
