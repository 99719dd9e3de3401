"""Every kind of credential that may be shown to the hub, made of the people of the matrix's world."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from appliance.accounts.model import (
    Action,
    MemberRole,
    NewKey,
    Principal,
    Role,
    Scope,
)
from appliance.accounts.tokens import TokenService
from appliance.core.ids import key_hash
from tests.harness.access_rights import Rights
from tests.harness.pages import Hub

#: What signed tokens before the secret was changed.
PREVIOUS_SECRET = "p" * 32
LASTS = timedelta(minutes=10)
#: What an owner's key is narrowed to, one by one; what an administrator's is.
OF_OWNER = (
    *("see", "call", "deploy", "change", "create", "delete", "transfer"),
    *("transfer create see", "manage", "see manage"),
)
OF_ADMIN = ("administer", "see", "see administer")


@dataclass(frozen=True)
class Credential:
    """One row of the matrix: what is shown, and what it is good for."""

    name: str
    #: Sent as the bearer; empty: nothing is shown.
    shown: str
    #: ``None``: it opens nothing.
    rights: Rights | None = None


@dataclass(frozen=True)
class Numbers:
    """Of what keys are narrowed to and act for."""

    ours: int
    theirs: int
    #: The server that is asked about, and another one of the same organisation.
    server: int
    another: int


class Issuer:
    """Makes keys and tokens as their holders would.

    Args:
        holders: Name of a row to who that is when signed in.
    """

    def __init__(self, site: Hub, holders: dict[str, Principal], numbers: Numbers) -> None:  # fmt: skip
        """Keep them."""
        self._site = site
        self._holders = holders
        self._numbers = numbers

    async def all(self) -> list[Credential]:
        """Return one of every kind beside the whole keys of people."""
        return [
            *await self._dead(),
            *await self._replaced(),
            *await self._tokens(),
            *await self._narrowed(),
            *await self._of_organisations(),
        ]

    async def _dead(self) -> list[Credential]:
        """Return what opened something once, or never."""
        revoked, expired = [await self._key("owner") for _ in range(2)]
        await self._sql("UPDATE api_keys SET revoked_at = now() WHERE key_hash = %s", key_hash(revoked))  # fmt: skip
        await self._sql("UPDATE api_keys SET expires_at = now() WHERE key_hash = %s", key_hash(expired))  # fmt: skip
        disabled = [await self._key("gone"), await self._token("gone")]
        await self._sql("UPDATE users SET disabled_at = now() WHERE email = %s", self._holders["gone"].email)  # fmt: skip
        return [
            Credential("anonymous", ""),
            Credential("revoked key", revoked),
            Credential("expired key", expired),
            Credential("key of somebody disabled", disabled[0]),
            Credential("token of somebody disabled", disabled[1]),
            Credential(
                "token of a strange secret", await self._token("owner", secret="z" * 32)
            ),
        ]

    async def _replaced(self) -> list[Credential]:
        """Return both halves of keys that were replaced, within the overlap and after it."""
        whole = Rights(member=MemberRole.OWNER)
        accounts, owner = self._site.services.accounts, self._holders["owner"]
        rows = []
        for name, overlap in (("within", timedelta(hours=1)), ("after", timedelta())):
            made = await accounts.keys.create(owner, NewKey("old"))
            new = await accounts.keys.rotate(owner, made.key.id, overlap=overlap)
            is_over = not overlap
            rows.append(Credential(f"replaced key {name} its overlap", made.shown, None if is_over else whole))  # fmt: skip
            rows.append(Credential(f"key that replaced it, {name}", new.shown, whole))
        return rows

    async def _tokens(self) -> list[Credential]:
        whole = Rights(member=MemberRole.OWNER, is_token=True)
        sees = Scope(frozenset({Action.SEE}))
        return [
            Credential("token", await self._token("owner"), whole),
            Credential("token of the secret before", await self._token("owner", secret=PREVIOUS_SECRET), whole),
            Credential("token to see", await self._token("owner", sees), replace(whole, actions=sees.actions)),
            Credential("token of admin", await self._token("admin"), Rights(Role.ADMIN, is_token=True)),
        ]  # fmt: skip

    async def _narrowed(self) -> list[Credential]:
        """Return keys for each action, for one server, and for both."""
        wanted: list[tuple[str, str, str, frozenset[int] | None]] = [
            *(("owner", f"key to {word}", word, None) for word in OF_OWNER),
            *(("admin", f"admin's key to {words}", words, None) for words in OF_ADMIN),
            ("reader", "reader's key to change", "see change", None),
            ("owner", "key for this server", "", frozenset({self._numbers.server})),
            ("owner", "key for another server", "", frozenset({self._numbers.another})),
            ("owner", "key to deploy this server", "see deploy", frozenset({self._numbers.server})),
            ("admin", "admin's key for this server", "", frozenset({self._numbers.server})),
            ("admin", "admin's key for another server", "", frozenset({self._numbers.another})),
        ]  # fmt: skip
        rows = []
        for holder, name, words, servers in wanted:
            actions = frozenset(map(Action, words.split())) or None
            rights = replace(rights_of(holder), actions=actions, servers=servers)
            key = await self._key(holder, NewKey("matrix", scope=Scope(actions, servers)))  # fmt: skip
            rows.append(Credential(name, key, rights))
        return rows

    async def _of_organisations(self) -> list[Credential]:
        """Return keys that act for an organisation, as each thing that they can be there."""
        rows = []
        for role in MemberRole:
            new = NewKey("ci", org=self._numbers.ours, org_role=role)
            rights = Rights(member=role, is_service=True)
            rows.append(Credential(f"{role}'s key of the organisation", await self._key("owner", new), rights))  # fmt: skip
        new = NewKey("ci", org=self._numbers.ours, org_role=MemberRole.OWNER, scope=Scope(frozenset({Action.SEE})))  # fmt: skip
        rights = Rights(member=MemberRole.OWNER, is_service=True, actions=frozenset({Action.SEE}))  # fmt: skip
        rows.append(Credential("key of the organisation to see", await self._key("owner", new), rights))  # fmt: skip
        new = NewKey("ci", org=self._numbers.theirs, org_role=MemberRole.OWNER)
        strange = await self._key("neighbour", new)
        rows.append(Credential("key of another organisation", strange, Rights(is_service=True)))  # fmt: skip
        return rows

    async def _key(self, holder: str, new: NewKey | None = None) -> str:
        keys = self._site.services.accounts.keys
        return (await keys.create(self._holders[holder], new or NewKey("matrix"))).shown

    async def _token(
        self, holder: str, scope: Scope | None = None, *, secret: str = ""
    ) -> str:
        tokens = self._site.services.accounts.tokens
        if secret:
            tokens = TokenService(self._site.database, secret.encode())
        return (await tokens.create(self._holders[holder], lasts=LASTS, scope=scope)).token  # fmt: skip

    async def _sql(self, sql: str, *values: Any) -> None:
        database = self._site.database
        await database.run(lambda: database.peewee.execute_sql(sql, values))


def rights_of(person: str) -> Rights:
    """Return what a person of the world may do with what is whole."""
    if person == "admin":
        return Rights(Role.ADMIN)
    if person == "reader-of-box":
        return Rights(Role.READER)
    is_member = person in set(MemberRole)
    return Rights(member=MemberRole(person) if is_member else None)
