"""Accounts at remote servers on a real Postgres: renewed by one alone, sealed, and gone with their person and server."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from appliance.accounts.model import SYSTEM
from appliance.infra.database import Database, proxy
from appliance.secrets.envelope import Place
from appliance.upstreams import store
from appliance.upstreams.keeping import TokenKeeper
from appliance.upstreams.model import Connection, Tokens
from tests.store.test_secrets import Box


@pytest.fixture
def box(database: Database, tmp_path: Path) -> Box:
    """The room of secrets, and a server in it."""
    return Box(database, tmp_path)


def tokens(access: str, refresh: str | None) -> Tokens:
    return Tokens(
        SecretStr(access), SecretStr(refresh) if refresh else None, 3600.0, None
    )


def connect(box: Box, user_id: int | None = None) -> Connection:
    """Connect an account; runs inside ``database.run``."""
    return store.put_connection(
        box.server,
        user_id,
        connected_by="ada",
        issuer="https://id.example.org",
        scopes="a b",
        terms={"resource": "x"},
        expires_at=None,
    )


async def test_a_token_is_claimed_for_renewal_by_one_alone_and_only_while_it_counts(
    box: Box,
) -> None:
    made = await box.database.run(connect, box)

    first = await box.database.run(store.claim, box.server, None, made.serial)
    second = await box.database.run(store.claim, box.server, None, made.serial)
    assert first is not None
    kept = await box.database.run(
        lambda: store.renewed(first, scopes=None, expires_at=None)
    )
    late = await box.database.run(
        lambda: store.renewed(first, scopes=None, expires_at=None)
    )
    stale = await box.database.run(store.claim, box.server, None, made.serial)

    assert second is None
    assert (kept, late) == (True, False)
    assert stale is None


async def test_a_refresh_token_that_was_not_replaced_stays_and_one_that_was_does_not(
    box: Box,
) -> None:
    keeper = TokenKeeper(box.keeper, box.files)
    made = await box.database.run(connect, box)

    await box.database.run(keeper.seal, made, 1, tokens("a1", "r1"))
    await box.database.run(keeper.seal, made, 2, tokens("a2", None))
    kept = await box.database.run(keeper.opened, made)
    await box.database.run(keeper.seal, made, 3, tokens("a3", "r3"))
    replaced = await box.database.run(keeper.opened, made)

    assert kept and kept.refresh and kept.refresh.get_secret_value() == "r1"  # noqa: PT018
    assert replaced and replaced.refresh  # noqa: PT018
    assert replaced.refresh.get_secret_value() == "r3"
    assert replaced.access.get_secret_value() == "a3"


async def test_a_rotated_master_key_leaves_tokens_readable_and_the_old_key_gone(
    box: Box,
) -> None:
    place = Place(box.server, "upstream connection 1", 1)
    await box.database.run(lambda: box.keeper.seal_away(place, "a token", user_id=None))
    old = (await box.ring()).current

    await box.rotation.begin(SYSTEM)
    await box.rewrap()

    assert old not in (await box.ring()).keys
    found = await box.database.run(box.keeper.sealed_away, box.server, place.name)
    assert found == "a token"


async def test_what_is_somebodys_goes_with_them_and_the_rest_with_the_server(
    box: Box,
) -> None:
    keeper = TokenKeeper(box.keeper, box.files)

    def count() -> int:
        return int(
            proxy.execute_sql(
                "SELECT (SELECT count(*) FROM upstream_connections) + (SELECT count(*) FROM sealed_values)"
            ).fetchone()[0]
        )

    def write() -> list[int]:
        user_id = proxy.execute_sql(
            "INSERT INTO users (email, password_hash, role) VALUES ('x@x', '', 'member') RETURNING id"
        ).fetchone()[0]
        for owner in (user_id, None):
            keeper.seal(connect(box, owner), 1, tokens("a", "r"))
        seen = [count()]
        proxy.execute_sql("DELETE FROM users WHERE id = %s", (user_id,))
        seen.append(count())
        proxy.execute_sql("UPDATE servers SET deployment_id = NULL")
        proxy.execute_sql("DELETE FROM servers WHERE id = %s", (box.server,))
        return [*seen, count()]

    assert await box.database.run(write) == [4, 2, 0]
