"""An issuer of access tokens made for the tests: it signs whatever it is asked to."""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

_MAKERS: dict[str, Callable[[], Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class HomemadeIssuer:
    """Signs with one key.

    Args:
        issuer: What its tokens say in ``iss``.
        alg: Of the key.
    """

    def __init__(self, issuer: str, alg: str = "ES256") -> None:
        self.issuer = issuer
        self.alg = alg
        self.kid = secrets.token_hex(8)
        self.private = _MAKERS[alg]()
        public = get_default_algorithms()[alg].to_jwk(self.private.public_key())
        self.jwk: dict[str, Any] = {
            **json.loads(public),
            "kid": self.kid,
            "alg": alg,
            "use": "sig",
        }

    def claims(self, audience: Any, **claims: Any) -> dict[str, Any]:
        """The claims of a token that is good for ten minutes; ``None`` leaves one out."""
        found = {
            "iss": self.issuer,
            "aud": audience,
            "sub": "user:5",
            "client_id": "inspector",
            "scope": "mcp:read mcp:call",
            "gid": 1,
            "iat": time.time(),
            "exp": time.time() + 600,
        } | claims
        return {name: value for name, value in found.items() if value is not None}

    def token(
        self, audience: Any, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A signed token, with other headers where some are given."""
        headers = {"typ": "at+jwt", "kid": self.kid} | (header or {})
        return jwt.encode(
            self.claims(audience, **claims),
            self.private,
            algorithm=self.alg,
            headers=headers,
        )
