"""What the hub signs, the gateway takes: the two share no code but ``core``."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from appliance.core.clock import now
from appliance.core.oauth import ALGORITHM, OWN_ISSUER, SCOPES, Endpoint, Resource
from appliance.gateway.edge.claims import TokenError
from appliance.gateway.edge.tokens import Tokens, is_token
from appliance.gateway.trust import TokenKey, Trust
from appliance.oauth.keys import public_jwk
from appliance.oauth.model import Claims
from appliance.oauth.tokens import SigningKey, claims_of, sign

CLAIMS = Claims(
    issuer="https://mcp.example.org",
    subject="user:5",
    audience="https://mcp.example.org/servers/clock/mcp",
    client_id="https://client.example.org/id.json",
    scope=SCOPES,
    grant_id=7,
)
PRIVATE = generate_private_key(SECP256R1())
JWK = public_jwk(PRIVATE.public_key())
PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
TRUST = Trust({JWK["kid"]: TokenKey(JWK["kid"], OWN_ISSUER, ALGORITHM, JWK)})


def signed(claims: Claims) -> str:
    payload = claims_of(claims, token_id="x", at=now(), lasts=timedelta(minutes=15))
    return sign(SigningKey(JWK["kid"], PEM.decode()), payload)


def test_a_persons_token_is_read_as_it_was_meant() -> None:
    text = signed(CLAIMS)

    token = Tokens(OWN_ISSUER, "email").read(text, TRUST, time.time())

    assert is_token(text)
    assert (token.principal, token.user_id, token.grant_id) == ("user:5", 5, 7)
    assert token.issuer == CLAIMS.issuer
    assert token.client_id == CLAIMS.client_id
    assert token.scopes == set(SCOPES)
    clock = Resource("https://mcp.example.org", Endpoint("servers", "clock"))
    assert token.resources == {clock}


def test_a_machines_token_is_read_as_it_was_meant() -> None:
    machine = replace(CLAIMS, subject="client:m1", acts_for="user:5", client_id="m1")

    token = Tokens(OWN_ISSUER, "email").read(signed(machine), TRUST, time.time())

    assert (token.principal, token.user_id) == ("client:m1", 5)


def test_a_token_is_good_for_as_long_as_it_was_given_out_for() -> None:
    tokens, text = Tokens(OWN_ISSUER, "email"), signed(CLAIMS)

    tokens.read(text, TRUST, time.time() + 890)
    with pytest.raises(TokenError, match="expired"):
        tokens.read(text, TRUST, time.time() + 915)
