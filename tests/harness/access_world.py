"""A hub with two organisations, everybody who may ask, and one of each thing that belongs to the first."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp.test_utils import TestClient

from appliance.accounts.access import Kind, Thing
from appliance.accounts.model import MemberRole, NewKey, Principal, Role
from appliance.core.ids import key_hash
from appliance.infra.database import Database
from tests.fakes.runs import finished
from tests.harness.pages import Hub, hub


@dataclass
class Somebody:
    """One row of the matrix."""

    name: str
    client: TestClient[Any, Any]
    #: ``None``: nobody, or with a key that does not work.
    principal: Principal | None = None


#: Who asks with a key that works, the least first.
ROWS = ("stranger", "neighbour", "reader-of-box", "reader", "deployer", "maintainer", "owner", "admin")  # fmt: skip


#: Of each kind, its name in addresses and what it is.
Things = dict[Kind, tuple[str, Thing]]


class World:
    """A hub with two organisations, everybody who may ask, and one of each thing that belongs to the first."""

    def __init__(self, site: Hub) -> None:
        """Take a hub in which nobody is registered."""
        self.site = site
        self.people: list[Somebody] = []
        self.org_id = self.user_id = 0
        self.numbers = itertools.count(1)
        self._clients: list[TestClient[Any, Any]] = []
        self._owner: Principal | None = None

    async def fill(self) -> None:
        """Add people, organisations, and what everything is asked of."""
        accounts, orgs = self.site.services.accounts, self.site.services.orgs
        await accounts.register("admin@example.org", "correct horse battery")
        system = Principal(None, "system", Role.ADMIN, "system")
        by_name: dict[str, str] = {"admin": "admin@example.org"}
        for name in ("reader-of-box", "owner", "maintainer", "deployer", "reader", "neighbour", "stranger"):  # fmt: skip
            email = f"{name}@example.org"
            role = Role.READER if name == "reader-of-box" else Role.MEMBER
            await accounts.people.add(system, email, "correct horse battery", role)
            by_name[name] = email
        await accounts.people.add(system, "dan@example.org", "correct horse battery", Role.MEMBER)  # fmt: skip
        keys = {name: await self._key(email) for name, email in by_name.items()}
        owner = await accounts.keys.authenticate(keys["owner"])
        self.org_id = (await orgs.create(owner, "ours")).org.id
        neighbour = await accounts.keys.authenticate(keys["neighbour"])
        await orgs.create(neighbour, "theirs")
        owner = await accounts.keys.authenticate(keys["owner"])
        self.user_id = (await orgs.set_member(owner, "ours", "dan@example.org", MemberRole.DEPLOYER)).user_id  # fmt: skip
        for member in ("maintainer", "deployer", "reader"):
            await orgs.set_member(owner, "ours", by_name[member], MemberRole(member))
        self._owner = owner
        revoked, expired = [await self._key(by_name["owner"]) for _ in "12"]
        await self._run("UPDATE api_keys SET revoked_at = now() WHERE key_hash = %s", key_hash(revoked))  # fmt: skip
        await self._run("UPDATE api_keys SET expires_at = now() WHERE key_hash = %s", key_hash(expired))  # fmt: skip
        self._add("anonymous", "")
        self._add("revoked key", revoked)
        self._add("expired key", expired)
        for name in ROWS:
            self._add(name, keys[name], await accounts.keys.authenticate(keys[name]))

    def _add(self, name: str, key: str, principal: Principal | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else None
        client: TestClient[Any, Any] = TestClient(
            self.site.client.server, headers=headers
        )
        self._clients.append(client)
        self.people.append(Somebody(name, client, principal))

    async def _key(self, email: str) -> str:
        accounts = self.site.services.accounts
        (user_id, role) = (await self._rows("SELECT id, role FROM users WHERE email = %s", email))[0]  # fmt: skip
        principal = Principal(user_id, email, Role(role), "session")
        return (await accounts.keys.create(principal, NewKey("matrix"))).shown

    async def _rows(self, sql: str, *values: Any) -> list[Any]:
        database = self.site.database
        return list(await database.run(lambda: database.peewee.execute_sql(sql, values).fetchall()))  # fmt: skip

    async def _run(self, sql: str, *values: Any) -> None:
        database = self.site.database
        await database.run(lambda: database.peewee.execute_sql(sql, values))

    async def close(self) -> None:
        """Hang up."""
        for client in self._clients:
            await client.session.close()

    async def thing(self, kind: Kind) -> tuple[str, Thing]:
        """Return a new thing of the organisation, by its name."""
        name = f"t{next(self.numbers)}"
        if kind is Kind.SERVER:
            sql = (
                "INSERT INTO servers (name, owner_id, org_id, source, config, desired_state, status,"
                " endpoint_key_hash, endpoint_key_prefix) VALUES (%s, %s, %s, '{\"package\": \"pypi:x\"}', '{}',"
                " 'running', 'running', sha256(%s), '') RETURNING id"
            )
        else:
            sql = (
                "INSERT INTO bundles (name, owner_id, org_id, endpoint_key_hash, endpoint_key_prefix)"
                " VALUES (%s, %s, %s, sha256(%s), '') RETURNING id"
            )
        assert self._owner
        assert self._owner.user_id
        row = await self._rows(sql, name, self._owner.user_id, self.org_id, name.encode())  # fmt: skip
        number = row[0][0]
        server_id = number if kind is Kind.SERVER else None
        return name, Thing(kind, number, self._owner.user_id, self.org_id, server_id)

    async def restore(self, things: Things) -> None:
        """Put back who and what may have been removed."""
        await self._run(
            "INSERT INTO org_members (org_id, user_id, role, added_by) VALUES (%s, %s, 'deployer', 'x') ON CONFLICT DO NOTHING",
            self.org_id,
            self.user_id,
        )
        await self._run(
            "INSERT INTO bundle_members (bundle_id, server_id, position, prefix)"
            " VALUES (%s, %s, 1, 'x') ON CONFLICT DO NOTHING",
            things[Kind.BUNDLE][1].id,
            things[Kind.SERVER][1].id,
        )

    async def artifact(self, server_id: int) -> tuple[str, Thing]:
        """Return a run of the ledger that was built for a server of the organisation."""
        run = finished(1, server_id=server_id)
        number = await self.site.database.run(self.site.services.ledger.record, run)
        assert self._owner
        return str(number), Thing(Kind.ARTIFACT, number, self._owner.user_id, self.org_id, server_id)  # fmt: skip


@asynccontextmanager
async def world(database: Database) -> AsyncIterator[World]:
    """A filled world on an empty database."""
    async with hub(database) as site:
        made = World(site)
        try:
            await made.fill()
            yield made
        finally:
            await made.close()
