"""The second factor on a real Postgres: enrolled, asked for, no code twice, reset."""

import asyncio
import base64
from collections.abc import Iterator
from datetime import timedelta

import pytest

from appliance.accounts import tickets, totp
from appliance.accounts.errors import (
    CodeRequiredError,
    FactorNotFoundError,
    NotAllowedError,
    TooManyAttemptsError,
    WrongCodeError,
    WrongCredentialsError,
)
from appliance.accounts.model import SYSTEM, Principal
from appliance.accounts.service import AccountService
from appliance.core.clock import now
from appliance.infra.database import Database, proxy
from appliance.infra.sealing import Sealer
from tests.harness.passwords import cheap_passwords

ADA = "ada@example.org"
PASSWORD = "correct horse battery"
SECRET = b"s" * 32


@pytest.fixture
def accounts(database: Database) -> Iterator[AccountService]:
    service = AccountService(database, SECRET, passwords=cheap_passwords())
    yield service
    service.close()


def code_of(secret: str, *, steps: int = 0) -> str:
    """Return what an app shows that was given ``secret``, so many steps from now."""
    raw = base64.b32decode(secret + "=" * (-len(secret) % 8))
    return totp.code_at(raw, int(now().timestamp()) // 30 + steps)


async def enrolled(accounts: AccountService) -> tuple[Principal, str, list[str]]:
    """Return Ada, the key of her app, and her recovery codes; the present code is used, the next is not."""
    user = await accounts.register(ADA, PASSWORD)
    ada = Principal(user.id, user.email, user.role, "session")
    secret = (await accounts.factor.enrol(ada)).secret
    # Tests go on with the next code, which is taken early: so no test depends on when half a minute ends.
    return ada, secret, await accounts.factor.confirm(ada, code_of(secret))


async def ticket_of(accounts: AccountService) -> str:
    with pytest.raises(CodeRequiredError) as refused:
        await accounts.login(ADA, PASSWORD)
    return refused.value.ticket


async def test_the_password_alone_opens_nothing_once_it_is_on(
    accounts: AccountService,
) -> None:
    _, secret, _ = await enrolled(accounts)
    ticket = await ticket_of(accounts)

    with pytest.raises(WrongCodeError):
        await accounts.login(ADA, PASSWORD, "000000")
    opened = await accounts.login_with_code(ticket, code_of(secret, steps=1))

    assert await accounts.sessions.whose(opened.token)


async def test_no_code_is_taken_twice_even_at_once(accounts: AccountService) -> None:
    _, secret, recovery = await enrolled(accounts)

    for code in (code_of(secret, steps=1), recovery[0]):
        outcomes = await asyncio.gather(
            accounts.login(ADA, PASSWORD, code),
            accounts.login(ADA, PASSWORD, code),
            return_exceptions=True,
        )
        refused = [item for item in outcomes if isinstance(item, BaseException)]
        assert [type(item) for item in refused] == [WrongCodeError]


async def test_codes_cannot_be_guessed_by_whoever_has_the_password(
    accounts: AccountService,
) -> None:
    _, secret, _ = await enrolled(accounts)
    for _ in range(5):
        with pytest.raises(WrongCodeError):
            await accounts.login_with_code(await ticket_of(accounts), "000000")

    with pytest.raises(TooManyAttemptsError):
        await accounts.login(ADA, PASSWORD, code_of(secret, steps=1))


async def test_nothing_is_asked_for_before_a_code_was_confirmed(
    accounts: AccountService,
) -> None:
    user = await accounts.register(ADA, PASSWORD)
    ada = Principal(user.id, user.email, user.role, "session")
    await accounts.factor.enrol(ada)

    with pytest.raises(WrongCodeError):
        await accounts.factor.confirm(ada, "000000")

    assert (await accounts.login(ADA, PASSWORD)).user.id == user.id


async def test_a_ticket_ends_with_the_password_that_it_is_for(
    accounts: AccountService,
) -> None:
    ada, secret, _ = await enrolled(accounts)
    assert ada.user_id
    ticket = await ticket_of(accounts)
    link = await accounts.resets.create(SYSTEM, ada.user_id)
    await accounts.resets.redeem(link.token, "another long password")

    for bad in (ticket, "", "00", ticket[:-2] + "00"):
        with pytest.raises(WrongCredentialsError):
            await accounts.login_with_code(bad, code_of(secret, steps=1))
    assert timedelta(minutes=5) >= tickets.LASTS
    assert tickets.holder(Sealer(b"another secret"), ticket) is None


async def test_an_administrator_resets_it_and_its_owner_turns_it_off(
    accounts: AccountService,
) -> None:
    ada, secret, recovery = await enrolled(accounts)
    assert ada.user_id
    ben = Principal(ada.user_id + 1, "ben@example.org", ada.role.MEMBER, "session")

    with pytest.raises(NotAllowedError):
        await accounts.factor.reset(ben, ada.user_id)
    fresh = await accounts.factor.new_codes(ada, code_of(secret, steps=1))
    with pytest.raises(WrongCodeError):
        await accounts.factor.turn_off(ada, recovery[0])
    await accounts.factor.turn_off(ada, fresh[0])

    assert (await accounts.login(ADA, PASSWORD)).user.email == ADA
    with pytest.raises(FactorNotFoundError):
        await accounts.factor.reset(SYSTEM, ada.user_id)
    await accounts.factor.enrol(ada)
    await accounts.factor.reset(SYSTEM, ada.user_id)


async def test_neither_secret_nor_codes_are_kept_in_clear(
    accounts: AccountService, database: Database
) -> None:
    _, secret, recovery = await enrolled(accounts)

    kept = await database.run(
        lambda: repr(
            [
                proxy.execute_sql("SELECT t::text FROM user_totp t").fetchall(),
                proxy.execute_sql("SELECT t::text FROM recovery_codes t").fetchall(),
                proxy.execute_sql("SELECT t::text FROM audit_events t").fetchall(),
            ]
        )
    )

    raw = base64.b32decode(secret).hex()
    assert not any(word in kept for word in (secret, raw, *recovery))
