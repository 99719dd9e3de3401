"""What can go wrong with certificates."""

from datetime import timedelta

from appliance.certificates.model import ErrorKind
from appliance.core.errors import (
    ConflictError,
    FailedError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)


class CertificateNotFoundError(NotFoundError):
    """There is no such certificate."""

    code = "certificate_not_found"


class CertificateInvalidError(InvalidError):
    """A chain or key that was brought cannot be served."""

    code = "certificate_invalid"


class OrderInvalidError(InvalidError):
    """This cannot be ordered."""

    code = "certificate_order_invalid"


class NothingOrderedError(ConflictError):
    """No certificate can be ordered now: the settings name no authority's account, or one was ordered a moment ago."""

    code = "certificate_not_ordered"


class CertificateInUseError(ConflictError):
    """The certificate is needed by something else."""

    code = "certificate_in_use"


class CertificatesNearEndError(UnavailableError):
    """A certificate is in its last days, or has failed for long."""

    code = "certificates_need_somebody"


class AttemptError(FailedError):
    """An order did not succeed.

    Args:
        kind: Says how long to wait before the next.
        retry_after: What the authority said.
    """

    code = "certificate_attempt_failed"

    def __init__(
        self,
        kind: ErrorKind,
        detail: str,
        *,
        retry_after: timedelta | None = None,
    ) -> None:
        """Keep what is known."""
        super().__init__(detail)
        self.kind = kind
        self.retry_after = retry_after
