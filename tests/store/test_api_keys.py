"""API keys on a real Postgres: narrowed, of organisations, replaced."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from appliance.accounts.errors import (
    KeyNotFoundError,
    KeyReplacedError,
    NotAllowedError,
    UnknownKeyError,
)
from appliance.accounts.model import (
    Action,
    MemberRole,
    NewKey,
    Principal,
    Role,
    Scope,
)
from appliance.accounts.orgs import store as orgs
from appliance.accounts.service import AccountService
from appliance.accounts.store import add_user
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.infra.database import Database, proxy
from tests.harness.passwords import cheap_passwords

LOOKS = Scope(frozenset({Action.SEE}))


@pytest.fixture
def accounts(database: Database) -> Iterator[AccountService]:
    service = AccountService(database, b"s" * 32, passwords=cheap_passwords())
    yield service
    service.close()


async def somebody(database: Database, member: MemberRole | None = None) -> Principal:
    """Return a person, in the organisation ``data`` if they are anything there."""

    def write() -> Principal:
        found = orgs.find("data") or orgs.add(
            "data", "", created_by="system", server_quota=None
        )
        email = f"{member or 'stranger'}@example.org"
        user = add_user(email, "no hash", Role.MEMBER)
        if member:
            orgs.add_member(found.id, user.id, member, added_by="system")
        memberships = {found.id: member} if member else {}
        return Principal(user.id, email, user.role, "session", memberships=memberships)

    return await database.run(write)


async def test_a_narrowed_key_is_recognised_as_narrowed(
    database: Database, accounts: AccountService
) -> None:
    ada = await somebody(database)
    scope = Scope(frozenset({Action.SEE, Action.CALL}), frozenset({3, 5}))

    made = await accounts.keys.create(ada, NewKey("ci", scope=scope))

    assert (await accounts.keys.authenticate(made.shown)).scope == scope
    seen = await database.run(
        lambda: proxy.execute_sql("SELECT scope FROM gateway_keys").fetchone()
    )
    assert seen == ({"actions": ["call", "see"], "servers": [3, 5]},)


async def test_a_narrowed_key_makes_and_changes_no_keys(
    database: Database, accounts: AccountService
) -> None:
    ada = await somebody(database)
    made = await accounts.keys.create(ada, NewKey("ci", scope=LOOKS))
    narrowed = await accounts.keys.authenticate(made.shown)

    with pytest.raises(NotAllowedError):
        await accounts.keys.create(narrowed, NewKey("more"))
    with pytest.raises(NotAllowedError):
        await accounts.keys.rotate(narrowed, made.key.id)
    with pytest.raises(NotAllowedError):
        await accounts.change_password(narrowed, "old", "new")


async def test_an_organisations_key_is_nobodys_and_stays(
    database: Database, accounts: AccountService
) -> None:
    maker = await somebody(database, MemberRole.MAINTAINER)
    made = await accounts.keys.create(maker, NewKey("ci", org="data"))
    assert made.key.org_id
    assert maker.user_id
    await database.run(orgs.remove_member, made.key.org_id, maker.user_id)

    known = await accounts.keys.authenticate(made.shown)

    assert (known.user_id, known.name) == (None, "key:data/ci")
    assert dict(known.memberships) == {made.key.org_id: MemberRole.DEPLOYER}
    assert known.org_id == made.key.org_id


async def test_a_key_is_never_more_than_whoever_makes_it(
    database: Database, accounts: AccountService
) -> None:
    maintainer = await somebody(database, MemberRole.MAINTAINER)
    owner = await somebody(database, MemberRole.OWNER)
    wanted = NewKey("ci", org="data", org_role=MemberRole.OWNER)

    with pytest.raises(NotAllowedError):
        await accounts.keys.create(maintainer, wanted)
    made = await accounts.keys.create(owner, wanted)
    with pytest.raises(NotAllowedError):
        await accounts.keys.rotate(maintainer, made.key.id)


async def test_only_maintainers_make_keys_and_strangers_learn_of_none(
    database: Database, accounts: AccountService
) -> None:
    maintainer = await somebody(database, MemberRole.MAINTAINER)
    deployer = await somebody(database, MemberRole.DEPLOYER)
    stranger = await somebody(database)
    made = await accounts.keys.create(maintainer, NewKey("ci", org="data"))

    with pytest.raises(NotAllowedError):
        await accounts.keys.create(deployer, NewKey("ci", org="data"))
    with pytest.raises(NotAllowedError):
        await accounts.keys.revoke(deployer, made.key.id)
    assert len(await accounts.keys.list(deployer, "data")) == 1
    with pytest.raises(InvalidError):
        await accounts.keys.create(stranger, NewKey("ci", org="data"))
    with pytest.raises(InvalidError):
        await accounts.keys.list(stranger, "data")
    with pytest.raises(KeyNotFoundError):
        await accounts.keys.revoke(stranger, made.key.id)


async def test_a_replaced_key_works_until_its_given_end(
    database: Database, accounts: AccountService
) -> None:
    ada = await somebody(database)
    old = await accounts.keys.create(
        ada, NewKey("ci", now() + timedelta(days=30), scope=LOOKS)
    )

    new = await accounts.keys.rotate(ada, old.key.id)

    assert (await accounts.keys.authenticate(old.shown)).scope == LOOKS
    assert (await accounts.keys.authenticate(new.shown)).scope == LOOKS
    listed = {key.id: key for key in await accounts.keys.list(ada)}
    ends = listed[old.key.id].expires_at
    assert ends
    assert timedelta(hours=23) < ends - now() <= timedelta(hours=24)
    assert listed[old.key.id].replaced_by == new.key.id
    lasts = new.key.expires_at
    assert lasts
    assert lasts - now() > timedelta(days=29)
    with pytest.raises(KeyReplacedError):
        await accounts.keys.rotate(ada, old.key.id)


async def test_without_overlap_the_old_key_ends_at_once(
    database: Database, accounts: AccountService
) -> None:
    ada = await somebody(database)
    old = await accounts.keys.create(ada, NewKey("ci"))

    await accounts.keys.rotate(ada, old.key.id, overlap=timedelta())

    with pytest.raises(UnknownKeyError):
        await accounts.keys.authenticate(old.shown)
