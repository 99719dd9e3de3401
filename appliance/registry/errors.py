"""What can go wrong between this box and a registry.

    FailedError
    └── RegistryError       one class; its ``kind`` says what happened
    ConflictError
    ├── RegistryNotConfiguredError
    └── RotationNotConfiguredError
    UnavailableError
    └── RegistryExpiredError

Every failure has one kind, decided by HTTP status, header and exception, never by the wording of an engine. Kinds are part of
the telemetry (``error_kind``), so they are never renamed.
"""

from enum import StrEnum

from appliance.core.errors import ConflictError, FailedError, UnavailableError


class ErrorKind(StrEnum):
    """What went wrong, in one stable word."""

    #: 401 although credentials were given: they are expired, revoked or wrong.
    AUTH_EXPIRED = "auth_expired"
    #: 401, and there are no credentials for this registry.
    UNAUTHORIZED = "unauthorized"
    #: 403: the credentials are known, and not allowed to do this.
    DENIED = "denied"
    #: 404 where something had to be there.
    NOT_FOUND = "not_found"
    #: 429.
    RATE_LIMITED = "rate_limited"
    #: 5xx.
    SERVER_ERROR = "server_error"
    #: Refused, reset, or cut in the middle.
    CONNECTION = "connection"
    #: Silent for longer than REGISTRY_TIMEOUT.
    TIMEOUT = "timeout"
    #: The certificate is not trusted, or what answers does not speak TLS.
    TLS = "tls"
    #: An answer ended before its announced length.
    TRUNCATED = "truncated"
    #: The registry names another digest than the bytes have.
    DIGEST_MISMATCH = "digest_mismatch"
    #: The registry forgot an upload in the middle.
    UPLOAD_LOST = "upload_lost"
    #: Too large, or the account's space is used up.
    QUOTA = "quota"
    #: The registry calls the request wrong, or its answer is none that a registry gives.
    INVALID = "invalid"
    #: 405: the registry is not set up to do this, as with deletion.
    UNSUPPORTED = "unsupported"
    #: The container engine failed, and not the registry.
    ENGINE = "engine"
    #: Something that has no kind of its own.
    UNKNOWN = "unknown"


#: What may go away by itself; only these are tried again.
TRANSIENT = frozenset(
    {
        ErrorKind.RATE_LIMITED,
        ErrorKind.SERVER_ERROR,
        ErrorKind.CONNECTION,
        ErrorKind.TIMEOUT,
        ErrorKind.TRUNCATED,
        ErrorKind.UPLOAD_LOST,
    }
)

HINTS = {
    ErrorKind.AUTH_EXPIRED: "Put fresh credentials into the file that REGISTRY_AUTH_DOCKERCONFIG names, then redeploy.",
    ErrorKind.UNAUTHORIZED: "Name a dockerconfigjson with this registry's credentials in REGISTRY_AUTH_DOCKERCONFIG.",
    ErrorKind.DENIED: "Give the registry's user the right to push there, or choose another namespace in REGISTRY.",
    ErrorKind.NOT_FOUND: "Some registries want the repository created before the first push; check REGISTRY.",
    ErrorKind.RATE_LIMITED: "Redeploy later, or ask the registry for a higher limit.",
    ErrorKind.SERVER_ERROR: "The registry is unwell; redeploy when it is back.",
    ErrorKind.CONNECTION: "Is the registry up, and reachable from this box? Then redeploy.",
    ErrorKind.TIMEOUT: "The registry stalls; redeploy later, or allow more by REGISTRY_TIMEOUT.",
    ErrorKind.TLS: "Add the registry's authority to this box's certificates, or name a registry without TLS in"
    " REGISTRY_INSECURE.",
    ErrorKind.QUOTA: "Make room in the registry, or ask for more.",
    ErrorKind.DIGEST_MISMATCH: "Nothing of this push is trusted. Does a proxy change the bytes, or is the registry broken?",
}


class RegistryError(FailedError):
    """A request to the registry, or a push to it, failed.

    Args:
        kind: What happened.
        detail: The same for a person; carries no secret.
        status: Of the answer, if there was one.
        retry_after_s: Seconds that the registry asks to wait.
        hint: The next step; the kind's own if ``None``.
    """

    code = "registry_failed"

    def __init__(
        self,
        kind: ErrorKind,
        detail: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        hint: str | None = None,
    ) -> None:
        """Keep what happened."""
        super().__init__(detail, hint=hint or HINTS.get(kind))
        self.kind = kind
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def is_transient(self) -> bool:
        """Whether the same may succeed later, with nothing changed."""
        return self.kind in TRANSIENT

    @property
    def is_auth_expired(self) -> bool:
        """Whether fresh credentials may help."""
        return self.kind is ErrorKind.AUTH_EXPIRED


class RegistryNotConfiguredError(ConflictError):
    """This box pushes to no registry."""

    code = "registry_not_configured"


class RotationNotConfiguredError(ConflictError):
    """Nothing on this box gets fresh credentials."""

    code = "registry_rotation_not_configured"


class RegistryExpiredError(UnavailableError):
    """The registry's credentials are past their end."""

    code = "registry_credentials_expired"
