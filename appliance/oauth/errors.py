"""What the authorization server refuses, in the words of RFC 6749 and its companions.

``code`` is what our own API tells; ``error`` is what clients of the protocol read.
"""

from appliance.core.errors import (
    ConflictError,
    InvalidError,
    LimitedError,
    NotFoundError,
)


class OAuthError(InvalidError):
    """A request of the protocol cannot be answered as it was meant.

    Args:
        error: The protocol's own word, such as ``invalid_grant``.
        detail: What is wrong.
    """

    code = "oauth_refused"

    def __init__(self, error: str, detail: str) -> None:
        """Keep the word and the sentence."""
        super().__init__(detail)
        self.error = error


class ClientDocumentError(OAuthError):
    """A client's document cannot be had, or does not describe the client."""

    code = "oauth_client_document"

    def __init__(self, detail: str) -> None:
        """Keep the sentence."""
        super().__init__("invalid_client", detail)


class ClientNotFoundError(NotFoundError):
    """There is no such client of this person."""

    code = "oauth_client_not_found"


class GrantNotFoundError(NotFoundError):
    """There is no such grant of this person."""

    code = "oauth_grant_not_found"


class OtherIssuerError(NotFoundError):
    """Another authorization server issues the tokens that this box takes."""

    code = "oauth_other_issuer"


class ClientWithoutSecretError(ConflictError):
    """The client shows itself without a secret, so that there is none to exchange."""

    code = "oauth_client_without_secret"


class TooManyClientsError(ConflictError):
    """Somebody made as many clients as there may be."""

    code = "oauth_too_many_clients"


class TooManyRegistrationsError(LimitedError):
    """Too many clients registered themselves."""

    code = "oauth_too_many_registrations"


def bad_request(detail: str) -> OAuthError:
    """Return the refusal of a request that is not of the protocol's form."""
    return OAuthError("invalid_request", detail)


def bad_grant(detail: str) -> OAuthError:
    """Return the refusal of a code or token that is not good, or not for this."""
    return OAuthError("invalid_grant", detail)


def bad_client(detail: str) -> OAuthError:
    """Return the refusal of a client that is not known, or not itself."""
    return OAuthError("invalid_client", detail)


def bad_scope(detail: str) -> OAuthError:
    """Return the refusal of a scope that is not known, or more than was granted."""
    return OAuthError("invalid_scope", detail)


def bad_target(detail: str) -> OAuthError:
    """Return the refusal of a resource (RFC 8707)."""
    return OAuthError("invalid_target", detail)
