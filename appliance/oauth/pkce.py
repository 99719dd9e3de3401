"""Proof that whoever redeems a code is who asked for it (RFC 7636). Pure."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

from appliance.oauth.errors import bad_grant, bad_request

#: The one method: ``plain`` shows the verifier to whoever sees the request.
METHOD = "S256"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def checked_challenge(challenge: str, method: str) -> str:
    """Return ``challenge``.

    Raises:
        OAuthError: There is none, or it is not of the one method that is taken.
    """
    if not challenge:
        raise bad_request("code_challenge is missing: PKCE is required.")
    # Without a method, RFC 7636 means plain.
    if method != METHOD:
        raise bad_request("code_challenge_method must be S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise bad_request(
            "code_challenge must be 43 characters: a SHA-256 in base64url."
        )
    return challenge


def verify(verifier: str, challenge: str) -> None:
    """Raise ``OAuthError`` unless ``verifier`` is what ``challenge`` was made of."""
    if not _VERIFIER.fullmatch(verifier):
        raise bad_request("code_verifier must be 43 to 128 characters of [A-Za-z0-9._~-].")  # fmt: skip
    if not hmac.compare_digest(challenge_of(verifier), challenge):
        raise bad_grant("code_verifier does not belong to the code.")


def challenge_of(verifier: str) -> str:
    """Return what a client that keeps ``verifier`` shows at first."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
