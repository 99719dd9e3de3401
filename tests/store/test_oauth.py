"""Keys, clients and grants on a real Postgres."""

import secrets
from collections.abc import Callable
from datetime import timedelta

import jwt
import pytest

from appliance.accounts.model import SYSTEM
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.oauth.keys import TokenKeys
from appliance.oauth.model import Claims
from appliance.oauth.tokens import claims_of, sign

CLAIMS = Claims(
    issuer="https://hub.example.org",
    subject="user:5",
    audience="https://mcp.example.org/servers/clock/mcp",
    client_id="https://client.example.org/id.json",
    scope=("mcp:read",),
    grant_id=7,
)
_KEYS = "SELECT issuer, kid, alg, jwk FROM gateway_token_keys"


@pytest.fixture
def keys(database: Database) -> TokenKeys:
    return TokenKeys(database, Sealer(secrets.token_bytes(32)))


@pytest.fixture
def seen_by_gateway(database: Database) -> Callable[[], list[tuple[object, ...]]]:
    return lambda: database.run_blocking(
        lambda: database.peewee.execute_sql(_KEYS).fetchall()
    )


async def test_what_is_signed_is_checked_with_what_the_gateway_reads(
    keys: TokenKeys, seen_by_gateway: Callable[[], list[tuple[object, ...]]]
) -> None:
    payload = claims_of(CLAIMS, token_id="a", at=now(), lasts=timedelta(minutes=15))
    token = sign(await keys.signer(), payload)

    [(issuer, kid, algorithm, jwk)] = seen_by_gateway()

    head = jwt.get_unverified_header(token)
    assert (issuer, head["kid"], head["typ"]) == ("", kid, "at+jwt")
    assert isinstance(jwk, dict)
    assert isinstance(algorithm, str)
    read = jwt.decode(
        token, jwt.PyJWK(jwk), algorithms=[algorithm], audience=CLAIMS.audience
    )
    assert (read["sub"], read["gid"], read["scope"]) == ("user:5", 7, "mcp:read")
    assert read["exp"] - read["iat"] == 900


async def test_a_key_that_was_exchanged_signs_no_more_but_goes_on_checking(
    keys: TokenKeys, seen_by_gateway: Callable[[], list[tuple[object, ...]]]
) -> None:
    before = await keys.signer()

    fresh = await keys.rotate(SYSTEM)

    assert (await keys.signer()).kid == fresh != before.kid
    assert {row[1] for row in seen_by_gateway()} == {before.kid, fresh}
    assert [key["kid"] for key in (await keys.jwks())["keys"]] == [fresh, before.kid]
