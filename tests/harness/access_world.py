"""A hub with two organisations, everybody who may ask, and one of each thing that belongs to the first."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp.test_utils import TestClient

from appliance.accounts.access import Kind, Thing
from appliance.accounts.model import SYSTEM, MemberRole, NewKey, Principal, Role
from appliance.accounts.orgs.store import memberships
from appliance.accounts.people import add_person
from appliance.accounts.tokens import is_token
from appliance.governance.model import NewWorkflow, Step
from appliance.infra.database import Database
from appliance.promotions.deeds import Wanted
from appliance.promotions.model import NewStage, NewTrack
from tests.fakes.runs import digest, finished
from tests.harness.access_credentials import (
    PREVIOUS_SECRET,
    Credential,
    Issuer,
    Numbers,
    rights_of,
)
from tests.harness.access_rights import Rights
from tests.harness.pages import PASSWORD, Hub, hub

#: What is made anew for each request that ends it.
OWNED = (Kind.SERVER, Kind.BUNDLE, Kind.WORKFLOW, Kind.TRACK)


@dataclass
class Somebody:
    """One row of the matrix."""

    name: str
    client: TestClient[Any, Any]
    #: ``None``: nobody, or with what opens nothing.
    rights: Rights | None = None
    #: What those are told who show this, if it opens nothing.
    refusal: str = ""


#: People with a whole key, the least first.
PEOPLE = ("stranger", "neighbour", "reader-of-box", "reader", "deployer", "maintainer", "owner", "admin")  # fmt: skip


#: Of each kind, its name in addresses and what it is.
Things = dict[Kind, tuple[str, Thing]]


class World:
    """A hub with two organisations, everybody who may ask, and one of each thing that belongs to the first."""

    def __init__(self, site: Hub) -> None:
        """Take a hub in which nobody is registered."""
        self.site = site
        self.people: list[Somebody] = []
        self.org_id = self.user_id = 0
        #: What is asked about, but for what ends with the request.
        self.fixed: Things = {}
        self.numbers = itertools.count(1)
        self._clients: list[TestClient[Any, Any]] = []
        #: What is named by itself and belongs to a thing.
        self.parts: dict[tuple[str, Thing], dict[str, str]] = {}
        self._owner: Principal | None = None

    async def fill(self) -> None:
        """Add people, organisations, credentials, and what everything is asked of."""
        orgs = self.site.services.orgs
        await self._add_people()
        self.org_id = (await orgs.create(await self._who("owner"), "ours")).org.id
        theirs = (await orgs.create(await self._who("neighbour"), "theirs")).org.id
        owner = self._owner = await self._who("owner")
        self.user_id = (await orgs.members.add(owner, "ours", "dan@example.org", MemberRole.DEPLOYER)).user_id  # fmt: skip
        for member in ("maintainer", "deployer", "reader"):
            await orgs.members.add(owner, "ours", f"{member}@example.org", MemberRole(member))  # fmt: skip
        numbers = await self._add_things(theirs)
        holders = {name: await self._who(name) for name in (*PEOPLE, "gone")}
        for row in await Issuer(self.site, holders, numbers).all():
            self._add(row)
        for name in PEOPLE:
            made = await self.site.services.accounts.keys.create(holders[name], NewKey("matrix"))  # fmt: skip
            self._add(Credential(name, made.shown, rights_of(name)))

    async def _add_people(self) -> None:
        await self.site.services.accounts.register("admin@example.org", PASSWORD)
        # All have one password, as each costs a tenth of a second on purpose.
        ((hashed,),) = await self._rows("SELECT password_hash FROM users")
        for name in (*PEOPLE, "dan", "gone"):
            if name != "admin":
                role = Role.READER if name == "reader-of-box" else Role.MEMBER
                email = f"{name}@example.org"
                await self.site.database.run(add_person, SYSTEM, email, hashed, role)

    async def _add_things(self, theirs: int) -> Numbers:
        """Make what is asked about, and a second server of the organisation."""
        for kind in OWNED:
            self.fixed[kind] = await self.thing(kind)
        server, another = self.fixed[Kind.SERVER][1].id, (await self.thing(Kind.SERVER))[1].id  # fmt: skip
        assert server
        assert another
        self.fixed[Kind.ARTIFACT] = await self.artifact(server)
        self.fixed[Kind.ORG] = ("ours", Thing(Kind.ORG, self.org_id, org_id=self.org_id))  # fmt: skip
        return Numbers(self.org_id, theirs, server, another)

    async def _who(self, name: str) -> Principal:
        """Return somebody as they are when they are signed in now."""
        email = f"{name}@example.org"
        ((user_id, role),) = await self._rows("SELECT id, role FROM users WHERE email = %s", email)  # fmt: skip
        joined = await self.site.database.run(memberships, user_id)
        return Principal(user_id, email, Role(role), "session", memberships=joined)

    def _add(self, row: Credential) -> None:
        headers = {"Authorization": f"Bearer {row.shown}"} if row.shown else None
        client: TestClient[Any, Any] = TestClient(
            self.site.client.server, headers=headers
        )
        self._clients.append(client)
        code = "unknown_token" if is_token(row.shown) else "unknown_key"
        refusal = code if row.shown else "unauthenticated"
        self.people.append(Somebody(row.name, client, row.rights, refusal))

    async def _rows(self, sql: str, *values: Any) -> list[Any]:
        database = self.site.database
        return list(await database.run(lambda: database.peewee.execute_sql(sql, values).fetchall()))  # fmt: skip

    async def _run(self, sql: str, *values: Any) -> None:
        database = self.site.database
        await database.run(lambda: database.peewee.execute_sql(sql, values))

    async def last_write(self) -> int:
        """Return the number of the last line of the trail that says that something was done."""
        sql = "SELECT id FROM audit_events WHERE outcome = 'allowed' ORDER BY id DESC LIMIT 1"
        return int((await self._rows(sql))[0][0])

    async def close(self) -> None:
        """Hang up."""
        for client in self._clients:
            await client.session.close()

    async def thing(self, kind: Kind) -> tuple[str, Thing]:
        """Return a new thing of the organisation, by its name."""
        name = f"t{next(self.numbers)}"
        if kind is Kind.WORKFLOW:
            return await self._workflow(name)
        if kind is Kind.TRACK:
            return await self._track(name)
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

    async def _workflow(self, name: str) -> tuple[str, Thing]:
        """Return a new workflow, of which a run waits for approval."""
        owner, room = await self._who("owner"), self.site.services.governance
        step = Step("review", "approval")
        new = NewWorkflow(name, (step,), org=self.org_id)
        thing = (await room.workflows.create(owner, new))[0].workflow.thing
        run = await room.runs.start(owner, name, digest=digest(1), tier="gold:npm")
        self.parts[str(thing.id), thing] = {"run": str(run.run.id)}
        return str(thing.id), thing

    async def _track(self, name: str) -> tuple[str, Thing]:
        """Return a new track, with a promotion and a train on it."""
        owner, room = await self._who("owner"), self.site.services.promotions
        new = NewTrack(name, (NewStage("canary"),), org=self.org_id)
        track = (await room.tracks.create(owner, new)).track
        one, other = (Wanted(digest(number), "gold:npm") for number in (1, 2))
        sent = await room.moves.schedule(owner, name, "canary", one)
        train = await room.moves.schedule_train(owner, name, "canary", [other])
        self.parts[str(track.id), track.thing] = {
            "promotion": str(sent.promotion.id),
            "train": str(train.id),
        }
        return str(track.id), track.thing

    async def restore(self, things: Things) -> None:
        """Put back who and what may have been removed, and take away what got its name from another."""
        await self._run("DELETE FROM servers WHERE name LIKE 'time-%%'")
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
    async with hub(database, jwt_secret_previous=PREVIOUS_SECRET) as site:
        made = World(site)
        try:
            await made.fill()
            yield made
        finally:
            await made.close()
