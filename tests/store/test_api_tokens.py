"""Short-lived tokens on a real Postgres: who they stand for now, and which are none."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest

from appliance.accounts.errors import NotAllowedError, UnknownTokenError
from appliance.accounts.model import (
    SYSTEM,
    Action,
    NewKey,
    Principal,
    Role,
    Scope,
    UserChange,
)
from appliance.accounts.service import AccountService
from appliance.accounts.store import add_user
from appliance.accounts.tokens import AUDIENCE
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.core.ids import derived_key
from appliance.infra.database import Database

OLD, NEW = b"o" * 32, b"n" * 32
LASTS = timedelta(minutes=15)
LOOKS = Scope(frozenset({Action.SEE}))


@pytest.fixture
def accounts(database: Database) -> Iterator[AccountService]:
    service = AccountService(database, OLD)
    yield service
    service.close()


@pytest.fixture
async def ada(database: Database) -> Principal:
    await database.run(add_user, "root@example.org", "no hash", Role.ADMIN)
    user = await database.run(add_user, "ada@example.org", "no hash", Role.MEMBER)
    return Principal(user.id, user.email, user.role, "session")


def forged(key: bytes = derived_key(OLD, "api-token"), **claims: Any) -> str:
    made = {"sub": "user:2", "aud": AUDIENCE, "iat": now(), "exp": now() + LASTS}
    return jwt.encode({**made, **claims}, key, algorithm="HS256")


async def test_a_token_means_what_its_person_is_now(
    accounts: AccountService, ada: Principal
) -> None:
    assert ada.user_id
    made = await accounts.tokens.create(ada, lasts=LASTS, scope=LOOKS)

    known = await accounts.authenticate(made.token)
    await accounts.people.change(SYSTEM, ada.user_id, UserChange(role=Role.READER))
    less = await accounts.authenticate(made.token)
    await accounts.people.change(SYSTEM, ada.user_id, UserChange(is_disabled=True))

    assert (known.email, known.role, known.via) == (ada.email, Role.MEMBER, "token")
    assert known.scope == LOOKS
    assert less.role is Role.READER
    with pytest.raises(UnknownTokenError):
        await accounts.authenticate(made.token)


async def test_a_token_makes_nothing_that_outlives_it(
    accounts: AccountService, ada: Principal
) -> None:
    made = await accounts.tokens.create(ada, lasts=LASTS)
    known = await accounts.authenticate(made.token)

    with pytest.raises(NotAllowedError):
        await accounts.tokens.create(known, lasts=LASTS)
    with pytest.raises(NotAllowedError):
        await accounts.keys.create(known, NewKey("longer"))
    with pytest.raises(InvalidError):
        await accounts.tokens.create(ada, lasts=timedelta(hours=2))


async def test_what_is_not_signed_for_this_or_lasts_too_long_is_none(
    accounts: AccountService, ada: Principal
) -> None:
    assert ada.user_id
    own = f"user:{ada.user_id}"
    assert (await accounts.authenticate(forged(sub=own))).email == ada.email

    for bad in (
        forged(OLD, sub=own),
        forged(sub=own, aud="another"),
        forged(sub=own, exp=now() - timedelta(minutes=1)),
        forged(sub=own, exp=now() + timedelta(hours=2)),
        forged(sub=f"client:{ada.user_id}"),
        forged(sub="user:999999"),
        jwt.encode({"sub": own, "aud": AUDIENCE}, key="", algorithm="none"),
    ):
        with pytest.raises(UnknownTokenError):
            await accounts.authenticate(bad)


async def test_tokens_outlive_a_change_of_the_secret_while_the_old_one_is_given(
    accounts: AccountService, ada: Principal, database: Database
) -> None:
    made = await accounts.tokens.create(ada, lasts=LASTS)
    changed, without = AccountService(database, NEW, OLD), AccountService(database, NEW)

    assert (await changed.authenticate(made.token)).email == ada.email
    newer = await changed.tokens.create(ada, lasts=LASTS)
    assert (await without.authenticate(newer.token)).email == ada.email
    with pytest.raises(UnknownTokenError):
        await without.authenticate(made.token)
    changed.close()
    without.close()
