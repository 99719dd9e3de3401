"""Accounts on a real Postgres."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from appliance.accounts import attempt_store
from appliance.accounts.errors import (
    EmailTakenError,
    KeyNotFoundError,
    RegistrationClosedError,
    SessionNotFoundError,
    TooManyAttemptsError,
    UnknownKeyError,
    WrongCredentialsError,
)
from appliance.accounts.limits import PER_EMAIL
from appliance.accounts.model import SYSTEM, KeyLimits, NewKey, Principal, Role
from appliance.accounts.service import AccountService
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.infra.database import Database
from appliance.observability.audit import AuditTrail
from tests.harness.passwords import cheap_passwords

ADA = "ada@example.org"
PASSWORD = "correct horse battery"


@pytest.fixture
def accounts(database: Database) -> Iterator[AccountService]:
    service = AccountService(database, b"s" * 32, passwords=cheap_passwords())
    yield service
    service.close()


async def signed_in(accounts: AccountService, email: str = ADA) -> Principal:
    opened = await accounts.login(email, PASSWORD, address="192.0.2.1")
    principal = await accounts.sessions.whose(opened.token)
    assert principal
    return principal


async def test_the_first_person_becomes_administrator_even_if_two_ask_at_once(
    accounts: AccountService,
) -> None:
    outcomes = await asyncio.gather(
        accounts.register(ADA, PASSWORD),
        accounts.register("bob@example.org", PASSWORD),
        return_exceptions=True,
    )

    added = [item for item in outcomes if not isinstance(item, BaseException)]
    refused = [item for item in outcomes if isinstance(item, RegistrationClosedError)]
    assert [user.role for user in added] == [Role.ADMIN]
    assert len(refused) == 1


async def test_open_registration_makes_maintainers(database: Database) -> None:
    accounts = AccountService(
        database, b"s" * 32, open_registration=True, passwords=cheap_passwords()
    )
    await accounts.register(ADA, PASSWORD)

    second = await accounts.register("bob@example.org", PASSWORD)

    assert second.role is Role.MEMBER
    accounts.close()


async def test_an_address_is_taken_in_any_case(accounts: AccountService) -> None:
    await accounts.register(ADA, PASSWORD)

    with pytest.raises(EmailTakenError):
        await accounts.people.add(SYSTEM, ADA.upper(), PASSWORD, Role.READER)


async def test_a_session_is_who_signed_in(accounts: AccountService) -> None:
    await accounts.register(ADA, PASSWORD)

    principal = await signed_in(accounts)

    assert (principal.email, principal.role, principal.via) == (
        ADA,
        Role.ADMIN,
        "session",
    )
    assert principal.csrf_token


@pytest.mark.parametrize(
    ("email", "password"), [(ADA, "wrong password"), ("nobody@example.org", PASSWORD)]
)
async def test_wrong_credentials_are_told_alike(
    accounts: AccountService, email: str, password: str
) -> None:
    await accounts.register(ADA, PASSWORD)

    with pytest.raises(WrongCredentialsError, match="do not belong together"):
        await accounts.login(email, password)


async def test_guessing_is_stopped_even_with_the_right_password(
    accounts: AccountService,
) -> None:
    await accounts.register(ADA, PASSWORD)
    for _ in range(PER_EMAIL.failures):
        with pytest.raises(WrongCredentialsError):
            await accounts.login(ADA, "wrong password", address="192.0.2.1")

    with pytest.raises(TooManyAttemptsError) as caught:
        await accounts.login(ADA, PASSWORD, address="192.0.2.2")

    assert 0 < caught.value.retry_after_s <= 900


async def test_guessing_all_at_once_is_stopped_as_well(
    accounts: AccountService,
) -> None:
    await accounts.register(ADA, PASSWORD)

    tries = [accounts.login(ADA, "wrong password") for _ in range(20)]
    refused = await asyncio.gather(*tries, return_exceptions=True)

    guessed = [error for error in refused if isinstance(error, WrongCredentialsError)]
    assert len(guessed) == PER_EMAIL.failures
    assert {type(error) for error in refused} == {
        WrongCredentialsError,
        TooManyAttemptsError,
    }


async def test_a_signed_in_browser_cannot_guess_the_password(
    accounts: AccountService,
) -> None:
    await accounts.register(ADA, PASSWORD)
    ada = await signed_in(accounts)
    for _ in range(PER_EMAIL.failures):
        with pytest.raises(WrongCredentialsError):
            await accounts.change_password(
                ada, "wrong password", "another long password"
            )

    with pytest.raises(TooManyAttemptsError):
        await accounts.change_password(ada, PASSWORD, "another long password")


async def test_signing_in_is_no_failure_of_the_address(
    database: Database, accounts: AccountService
) -> None:
    await accounts.register(ADA, PASSWORD)
    await accounts.login(ADA, PASSWORD, address="192.0.2.1")

    long_ago = now() - timedelta(days=1)
    assert (
        await database.run(attempt_store.failures, "address:192.0.2.1", long_ago) == []
    )


async def test_a_success_forgives_earlier_failures(accounts: AccountService) -> None:
    await accounts.register(ADA, PASSWORD)
    for _ in range(2):
        for _ in range(PER_EMAIL.failures - 1):
            with pytest.raises(WrongCredentialsError):
                await accounts.login(ADA, "wrong password")
        await accounts.login(ADA, PASSWORD)


async def test_signing_out_ends_the_session(accounts: AccountService) -> None:
    await accounts.register(ADA, PASSWORD)
    opened = await accounts.login(ADA, PASSWORD)
    principal = await accounts.sessions.whose(opened.token)
    assert principal

    await accounts.logout(principal)

    assert await accounts.sessions.whose(opened.token) is None


async def test_nobody_ends_another_person_s_session(accounts: AccountService) -> None:
    await accounts.register(ADA, PASSWORD)
    await accounts.people.add(SYSTEM, "bob@example.org", PASSWORD, Role.MEMBER)
    ada = await signed_in(accounts)
    bob = await signed_in(accounts, "bob@example.org")

    with pytest.raises(SessionNotFoundError):
        await accounts.sessions.end(bob, ada.credential_id or 0)

    assert len(await accounts.sessions.list(ada)) == 1


async def test_a_new_password_ends_the_other_sessions(accounts: AccountService) -> None:
    await accounts.register(ADA, PASSWORD)
    elsewhere = await accounts.login(ADA, PASSWORD)
    ada = await signed_in(accounts)

    await accounts.change_password(ada, PASSWORD, "another long password")

    assert await accounts.sessions.whose(elsewhere.token) is None
    assert [item.id for item in await accounts.sessions.list(ada)] == [
        ada.credential_id
    ]
    await accounts.login(ADA, "another long password")


async def test_a_key_works_until_it_is_revoked(accounts: AccountService) -> None:
    await accounts.register(ADA, PASSWORD)
    ada = await signed_in(accounts)
    made = await accounts.keys.create(ada, NewKey("laptop"))
    stored, key = made.key, made.shown

    assert (await accounts.keys.authenticate(key)).email == ADA
    assert key.startswith(stored.prefix)
    await accounts.keys.revoke(ada, stored.id)

    with pytest.raises(UnknownKeyError):
        await accounts.keys.authenticate(key)
    assert await accounts.keys.list(ada) == []


async def test_a_key_runs_out(accounts: AccountService) -> None:
    await accounts.register(ADA, PASSWORD)
    ada = await signed_in(accounts)
    soon = now() + timedelta(milliseconds=150)
    key = (await accounts.keys.create(ada, NewKey("short", soon))).shown

    await asyncio.sleep(0.2)

    with pytest.raises(UnknownKeyError):
        await accounts.keys.authenticate(key)


async def test_nobody_revokes_another_person_s_key(accounts: AccountService) -> None:
    await accounts.register(ADA, PASSWORD)
    await accounts.people.add(SYSTEM, "bob@example.org", PASSWORD, Role.ADMIN)
    ada = await signed_in(accounts)
    made = await accounts.keys.create(ada, NewKey("laptop"))
    stored, key = made.key, made.shown

    with pytest.raises(KeyNotFoundError):
        await accounts.keys.revoke(
            await signed_in(accounts, "bob@example.org"), stored.id
        )

    await accounts.keys.authenticate(key)


async def test_neither_passwords_nor_keys_are_kept(
    accounts: AccountService, database: Database
) -> None:
    await accounts.register(ADA, PASSWORD)
    ada = await signed_in(accounts)
    key = (await accounts.keys.create(ada, NewKey("laptop"))).shown

    def everything() -> str:
        tables = (
            "users",
            "sessions",
            "api_keys",
            "audit_events",
            "login_attempts",
            "events",
        )
        rows = [
            database.peewee.execute_sql(f"SELECT t::text FROM {table} t").fetchall()  # noqa: S608 - names above
            for table in tables
        ]
        return str(rows)

    kept = await database.run(everything)

    assert PASSWORD not in kept
    assert key not in kept


async def test_every_write_leaves_a_line_in_the_audit_trail(
    accounts: AccountService, database: Database
) -> None:
    await accounts.register(ADA, PASSWORD)
    with pytest.raises(WrongCredentialsError):
        await accounts.login(ADA, "wrong password")
    ada = await signed_in(accounts)
    stored = (await accounts.keys.create(ada, NewKey("laptop"))).key
    await accounts.keys.revoke(ada, stored.id)

    lines = await AuditTrail(database).list()

    assert [(line.action, line.outcome) for line in reversed(lines)] == [
        ("user.create", "allowed"),
        ("session.create", "denied"),
        ("session.create", "allowed"),
        ("key.create", "allowed"),
        ("key.revoke", "allowed"),
    ]


async def test_a_key_is_limited_when_it_is_made_and_later(
    accounts: AccountService,
) -> None:
    await accounts.register(ADA, PASSWORD)
    ada = await signed_in(accounts)
    wanted = NewKey("laptop", limits=KeyLimits(2.5, 4))
    made = (await accounts.keys.create(ada, wanted)).key
    assert made.limits == KeyLimits(2.5, 4)

    changed = await accounts.keys.limit(ada, made.id, KeyLimits(None, 8))

    assert changed.limits == KeyLimits(None, 8)
    assert [key.limits for key in await accounts.keys.list(ada)] == [KeyLimits(None, 8)]


@pytest.mark.parametrize(
    "limits",
    [KeyLimits(0), KeyLimits(-1), KeyLimits(float("nan")), KeyLimits(None, 0)],
)
async def test_a_limit_that_lets_nothing_through_is_refused(
    accounts: AccountService, limits: KeyLimits
) -> None:
    await accounts.register(ADA, PASSWORD)
    ada = await signed_in(accounts)

    with pytest.raises(InvalidError):
        await accounts.keys.create(ada, NewKey("laptop", limits=limits))
    assert await accounts.keys.list(ada) == []


async def test_nobody_limits_another_person_s_key(accounts: AccountService) -> None:
    await accounts.register(ADA, PASSWORD)
    await accounts.people.add(SYSTEM, "bob@example.org", PASSWORD, Role.ADMIN)
    ada = await signed_in(accounts)
    made = (await accounts.keys.create(ada, NewKey("laptop"))).key
    bob = await signed_in(accounts, "bob@example.org")

    with pytest.raises(KeyNotFoundError):
        await accounts.keys.limit(bob, made.id, KeyLimits(1))
