"""The people of the box on a real Postgres: roles, disabling, and links for a new password."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from appliance.accounts.errors import (
    LastAdminError,
    NotAllowedError,
    ResetLinkError,
    UnknownKeyError,
    UserNotFoundError,
    WeakPasswordError,
    WrongCredentialsError,
)
from appliance.accounts.model import (
    SYSTEM,
    NewKey,
    Principal,
    Role,
    User,
    UserChange,
)
from appliance.accounts.service import AccountService
from appliance.accounts.store import add_user, get_user
from appliance.infra.database import Database, proxy
from appliance.observability.audit import AuditTrail
from tests.harness.passwords import cheap_passwords

PASSWORD = "correct horse battery"
DISABLED = UserChange(is_disabled=True)


@pytest.fixture
def accounts(database: Database) -> Iterator[AccountService]:
    service = AccountService(database, b"s" * 32, passwords=cheap_passwords())
    yield service
    service.close()


async def person(
    database: Database, name: str, role: Role = Role.MEMBER
) -> tuple[User, Principal]:
    user = await database.run(add_user, f"{name}@example.org", "no hash", role)
    return user, Principal(user.id, user.email, user.role, "session")


async def test_who_is_disabled_is_shut_out_and_comes_back(
    database: Database, accounts: AccountService
) -> None:
    _, admin = await person(database, "ada", Role.ADMIN)
    ben = await accounts.people.add(admin, "ben@example.org", PASSWORD, Role.MEMBER)
    opened = await accounts.login(ben.email, PASSWORD)
    as_ben = Principal(ben.id, ben.email, ben.role, "session")
    key = (await accounts.keys.create(as_ben, NewKey("ci"))).shown

    await accounts.people.change(admin, ben.id, DISABLED)

    assert await accounts.sessions.whose(opened.token) is None
    with pytest.raises(UnknownKeyError):
        await accounts.keys.authenticate(key)
    with pytest.raises(WrongCredentialsError):
        await accounts.login(ben.email, PASSWORD)
    await accounts.people.change(admin, ben.id, UserChange(is_disabled=False))
    assert (await accounts.keys.authenticate(key)).user_id == ben.id
    assert await accounts.sessions.whose(opened.token) is None
    trail = await AuditTrail(database).list(object_type="user", object_id=ben.id)
    assert {"user.disable", "user.enable"} <= {item.action for item in trail}


async def test_the_last_administrator_stays_even_if_two_demote_each_other_at_once(
    database: Database, accounts: AccountService
) -> None:
    ada, as_ada = await person(database, "ada", Role.ADMIN)
    ben, as_ben = await person(database, "ben", Role.ADMIN)
    demotes = UserChange(role=Role.MEMBER)

    outcomes = await asyncio.gather(
        accounts.people.change(as_ada, ben.id, demotes),
        accounts.people.change(as_ben, ada.id, DISABLED),
        return_exceptions=True,
    )

    assert [type(item) for item in outcomes].count(LastAdminError) == 1
    left = [user for user in await accounts.people.list(SYSTEM) if user.role is Role.ADMIN]  # fmt: skip
    assert len([user for user in left if not user.disabled_at]) == 1


async def test_only_administrators_change_people(
    database: Database, accounts: AccountService
) -> None:
    await person(database, "ada", Role.ADMIN)
    ben, as_ben = await person(database, "ben")

    with pytest.raises(NotAllowedError):
        await accounts.people.change(as_ben, ben.id, UserChange(role=Role.ADMIN))
    with pytest.raises(NotAllowedError):
        await accounts.resets.create(as_ben, ben.id)
    with pytest.raises(UserNotFoundError):
        await accounts.people.change(SYSTEM, 999, UserChange(role=Role.ADMIN))


async def test_a_link_sets_a_password_once_and_ends_every_session(
    database: Database, accounts: AccountService
) -> None:
    _, admin = await person(database, "ada", Role.ADMIN)
    ben = await accounts.people.add(admin, "ben@example.org", PASSWORD, Role.MEMBER)
    opened = await accounts.login(ben.email, PASSWORD)
    older = await accounts.resets.create(admin, ben.id)
    link = await accounts.resets.create(admin, ben.id)

    with pytest.raises(ResetLinkError):
        await accounts.resets.redeem(older.token, "another long password")
    with pytest.raises(WeakPasswordError):
        await accounts.resets.redeem(link.token, "short")
    outcomes = await asyncio.gather(
        accounts.resets.redeem(link.token, "another long password"),
        accounts.resets.redeem(link.token, "a third long password"),
        return_exceptions=True,
    )

    assert [type(item) for item in outcomes if item] == [ResetLinkError]
    assert await accounts.sessions.whose(opened.token) is None
    with pytest.raises(WrongCredentialsError):
        await accounts.login(ben.email, PASSWORD)
    kept = await database.run(
        lambda: proxy.execute_sql("SELECT token_hash FROM password_resets").fetchall()
    )
    assert link.token.encode() not in b"".join(bytes(row[0]) for row in kept)


async def test_a_link_runs_out_and_is_none_for_who_is_disabled(
    database: Database, accounts: AccountService
) -> None:
    _, admin = await person(database, "ada", Role.ADMIN)
    ben, _ = await person(database, "ben")
    link = await accounts.resets.create(admin, ben.id, lasts=timedelta(milliseconds=50))

    await asyncio.sleep(0.1)

    with pytest.raises(ResetLinkError):
        await accounts.resets.whose(link.token)
    other = await accounts.resets.create(admin, ben.id)
    await accounts.people.change(admin, ben.id, DISABLED)
    with pytest.raises(ResetLinkError):
        await accounts.resets.whose(other.token)
    found = await database.run(get_user, ben.id)
    assert found
    assert found[1] == "no hash"
