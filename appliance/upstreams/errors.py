"""What goes wrong between this box and the authorization servers of others."""

from appliance.core.errors import (
    ConflictError,
    FailedError,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
)


class ConnectionNotFoundError(NotFoundError):
    """There is no such connection, or it is somebody else's."""

    code = "connection_not_found"


class NoSigninError(ConflictError):
    """The server asks nobody who they are."""

    code = "no_signin_needed"


class SharedAccountError(ForbiddenError):
    """The account that all share is for those who look after the server."""

    code = "shared_account"


class SigninExpiredError(ConflictError):
    """What a browser came back with belongs to no sign-in that it began."""

    code = "signin_expired"


class SigninRefusedError(FailedError):
    """The authorization server, or the person there, said no."""

    code = "signin_refused"


class DiscoveryError(FailedError):
    """What the server, or its authorization server, says of itself cannot be used."""

    code = "signin_not_offered"


class NoClientError(FailedError):
    """The authorization server knows no way in which this box becomes its client by itself."""

    code = "client_needed"


class UpstreamAwayError(UnavailableError):
    """The other side does not answer, or may not be asked."""

    code = "upstream_away"


class TokenRefusedError(FailedError):
    """The token endpoint refused, in the words of OAuth.

    Args:
        error: Its code, such as ``invalid_grant``.
    """

    code = "token_refused"

    def __init__(self, detail: str, *, error: str) -> None:
        """Keep the code."""
        super().__init__(detail)
        self.error = error

    @property
    def is_final(self) -> bool:
        """Whether asking again cannot help."""
        return self.error in _FINAL


_FINAL = frozenset(
    {"invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope"}
)
