"""What is refused about people."""

from appliance.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    LimitedError,
    NotFoundError,
    UnauthenticatedError,
)


class WrongCredentialsError(UnauthenticatedError):
    """E-mail and password do not belong together; which of them is wrong is not told."""

    code = "wrong_credentials"


class TooManyAttemptsError(LimitedError):
    """Too many failed sign-ins."""

    code = "too_many_attempts"


class TooBusyError(LimitedError):
    """More people sign in at this moment than the box can check."""

    code = "too_busy"


class RegistrationClosedError(ForbiddenError):
    """Only an administrator adds people."""

    code = "registration_closed"


class NotAllowedError(ForbiddenError):
    """The role does not allow it."""

    code = "not_allowed"


class EmailTakenError(ConflictError):
    """Somebody has the address already."""

    code = "email_taken"


class WeakPasswordError(InvalidError):
    """The password is too short, too long, or the address itself."""

    code = "weak_password"


class SessionNotFoundError(NotFoundError):
    """There is no such session of this person."""

    code = "session_not_found"


class KeyNotFoundError(NotFoundError):
    """There is no such key of this person."""

    code = "key_not_found"


class UnknownKeyError(UnauthenticatedError):
    """The key is not one of ours, was revoked, or ran out."""

    code = "unknown_key"


class UnknownTokenError(UnauthenticatedError):
    """The token is not one of ours, ran out, or its person was disabled."""

    code = "unknown_token"


class KeyReplacedError(ConflictError):
    """Another key took its place already."""

    code = "key_replaced"


class UserNotFoundError(NotFoundError):
    """There is no such person."""

    code = "user_not_found"


class LastAdminError(ConflictError):
    """The box would be left without an administrator."""

    code = "last_admin"


class ResetLinkError(InvalidError):
    """The link to set a password is not known, was used, or ran out."""

    code = "reset_link_unusable"


class CodeRequiredError(UnauthenticatedError):
    """The password is right; a code of the second factor is missing."""

    code = "code_required"

    def __init__(self, detail: str, *, ticket: str, hint: str = "") -> None:
        """Keep what the browser carries to the second step; it is no part of the answer."""
        super().__init__(detail, hint=hint)
        self.ticket = ticket


class WrongCodeError(UnauthenticatedError):
    """The code of the second factor is not right, or was used."""

    code = "wrong_code"


class FactorIsOnError(ConflictError):
    """A second factor is on already."""

    code = "second_factor_on"


class FactorNotFoundError(NotFoundError):
    """There is no second factor."""

    code = "no_second_factor"


class PasswordSignInOffError(ForbiddenError):
    """The password is right; the settings have people sign in by the provider."""

    code = "password_sign_in_off"


class NotAdmittedError(ForbiddenError):
    """A provider says who comes, and they are not let in."""

    code = "not_admitted"


class IdentityTakenError(ConflictError):
    """Whoever is meant at the provider is somebody else here."""

    code = "identity_taken"


class IdentityNotFoundError(NotFoundError):
    """The person is linked with nobody of this number."""

    code = "identity_not_found"


class OnlyWayInError(ConflictError):
    """Without it, the person could not sign in any more."""

    code = "only_way_in"
