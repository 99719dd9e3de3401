"""Keys, clients and grants on a real Postgres."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from appliance.accounts import attempt_store
from appliance.accounts.model import SYSTEM
from appliance.accounts.service import AccountService
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer
from appliance.oauth.client_store import prune
from appliance.oauth.clients import PER_ADDRESS, Clients
from appliance.oauth.errors import OAuthError, TooManyRegistrationsError
from appliance.oauth.fetching import Fetcher
from appliance.oauth.grant_store import add_grant, note_token, revoke
from appliance.oauth.keys import TokenKeys
from appliance.oauth.model import Claims
from appliance.oauth.tokens import claims_of, sign
from tests.harness.passwords import cheap_passwords

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


async def test_a_key_that_cannot_be_opened_any_more_gives_way_to_a_new_one(
    database: Database, keys: TokenKeys
) -> None:
    lost = await keys.signer()

    found = await TokenKeys(database, Sealer(secrets.token_bytes(32))).signer()

    assert found.kid != lost.kid
    assert {key["kid"] for key in (await keys.jwks())["keys"]} == {lost.kid, found.kid}


# -- clients


def _clients(database: Database) -> Clients:
    return Clients(database, Fetcher((), Path("/none")), registers=True)


async def test_one_address_registers_only_so_many_clients(database: Database) -> None:
    clients = _clients(database)
    subject = ("oauth-register:192.0.2.1",)
    for _ in range(PER_ADDRESS - 1):
        await database.run(attempt_store.add, subject, succeeded=False)
    wanted = {"redirect_uris": ["http://localhost/"]}

    await clients.register(wanted, address="192.0.2.1")
    with pytest.raises(TooManyRegistrationsError) as refusal:
        await clients.register(wanted, address="192.0.2.1")
    await clients.register(wanted, address="192.0.2.2")

    assert 0 < refusal.value.retry_after_s <= 3600


async def test_registration_may_be_closed(database: Database) -> None:
    closed = Clients(database, Fetcher((), Path("/none")), registers=False)

    with pytest.raises(OAuthError, match="metadata document"):
        await closed.register({"redirect_uris": ["http://localhost/"]}, address="")


async def test_a_client_that_nobody_granted_anything_is_forgotten(
    database: Database,
) -> None:
    clients = _clients(database)
    wanted = {"redirect_uris": ["http://localhost/"]}
    idle, _ = await clients.register(wanted, address="")
    used, _ = await clients.register(wanted, address="")
    user = await AccountService(
        database, b"s" * 32, passwords=cheap_passwords()
    ).register("ada@example.org", "a long password")

    def write() -> int:
        add_grant(
            user.id, used.client_id, issuer="i", resource="r", scope=("mcp:read",)
        )
        return prune(unused_before=now() + timedelta(hours=1))

    assert await database.run(write) == 1
    assert (await clients.find(used.client_id)).client_id == used.client_id
    with pytest.raises(OAuthError):
        await clients.find(idle.client_id)


async def test_a_grant_that_ended_is_known_to_gateways_while_its_token_may_be_good(
    database: Database,
) -> None:
    clients = _clients(database)
    client, _ = await clients.register(
        {"redirect_uris": ["http://localhost/"]}, address=""
    )
    user = await AccountService(
        database, b"s" * 32, passwords=cheap_passwords()
    ).register("ada@example.org", "a long password")

    def write(*, minutes: int) -> int:
        found = add_grant(
            user.id, client.client_id, issuer="i", resource="r", scope=("mcp:read",)
        )
        note_token(found.id, now() + timedelta(minutes=minutes))
        revoke(found.id, "for a test")
        return found.id

    alive = await database.run(write, minutes=5)
    await database.run(write, minutes=-5)
    rows = await database.run(
        lambda: database.peewee.execute_sql(
            "SELECT grant_id FROM gateway_revoked_grants"
        ).fetchall()
    )

    assert rows == [(alive,)]
