"""What goes wrong between this box and a provider."""

from appliance.core.errors import (
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)

_MEANWHILE = (
    "Try again in a minute; whoever has a password on this box may sign in with it."
)


class SignInFailedError(UnauthenticatedError):
    """What came back from the provider is not to be believed, or not for this browser."""

    code = "sign_in_failed"


class ProviderAwayError(UnavailableError):
    """The provider does not answer, or not as one does."""

    code = "provider_away"

    def __init__(self, detail: str, *, hint: str | None = None) -> None:
        """Keep the texts; who has a password is not shut out, and is told so."""
        super().__init__(detail, hint=hint or _MEANWHILE)


class NoProviderError(NotFoundError):
    """No provider is set up."""

    code = "no_provider"


class TokenError(Exception):
    """An ID token is not to be believed; the text says why, for the log and the audit trail."""


class UnknownKeyIdError(TokenError):
    """It is signed with a key that is not known yet."""
