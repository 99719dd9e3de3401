"""Strangers to an organisation try whatever the services offer, in any order; what is its own stays untouched and unseen."""

import asyncio
import itertools
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from appliance.accounts.model import SYSTEM, MemberRole, NewKey, Principal, Role
from appliance.accounts.people import add_person
from appliance.bundles.model import NewBundle, NewMember
from appliance.core.errors import DomainError
from appliance.infra.database import Database
from appliance.servers.model import NewServer
from appliance.sources.spec import parse_source
from appliance.web.app import Services
from tests.functional.hub import services_for, settings_for

REMOTE = parse_source({"remote_url": "https://mcp.example.org/mcp"})
WHO = st.sampled_from(("owner", "maintainer", "drifter"))
ROLES = st.sampled_from(MemberRole)
PLACES = st.sampled_from(("victim", "own", None))
SERVERS = st.sampled_from(("victim", "own"))
_numbers = itertools.count(1)


def attack(database: Database, data_dir: Path, *, examples: int, steps: int) -> None:
    """Let strangers act ``examples`` times, ``steps`` steps each; raises where one found a way in.

    Args:
        database: Empty, or what earlier attacks left.
        data_dir: Where the hub keeps files.
        examples: How many sequences are made up; the first is the simplest that there is.
        steps: Of each sequence at most.
    """
    config = settings_for(data_dir=data_dir)

    class Neighbours(Attack):
        """The machine on this database."""

        def __init__(self) -> None:
            super().__init__(database, config)

    run_state_machine_as_test(
        Neighbours,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


class Attack(RuleBasedStateMachine):
    """Three people who do not belong to ``victim`` try everything that the services offer."""

    def __init__(self, database: Database, config: Any) -> None:
        """Add both organisations, with a server and a bundle in the first."""
        super().__init__()
        self._runner = asyncio.Runner()
        self._database = database
        self._session: aiohttp.ClientSession
        self._services: Services
        self._keys: dict[str, str] = {}
        self._tokens: list[str] = ["mcpv_guess"]
        self._runner.run(self._begin(config))
        self._before = self._state()

    async def _begin(self, config: Any) -> None:
        self._session = aiohttp.ClientSession()
        self._services = await asyncio.to_thread(services_for, self._database, self._session, config)  # fmt: skip
        number = next(_numbers)
        self.victim, self.own = f"victim-{number}", f"own-{number}"
        for name in ("ada", "owner", "maintainer", "drifter"):
            email = f"{name}-{number}@example.org"
            # Nobody signs in, and a password costs a tenth of a second on purpose.
            user = await self._database.run(add_person, SYSTEM, email, "", Role.MEMBER)
            principal = Principal(user.id, user.email, user.role, "session")
            made = await self._services.accounts.keys.create(principal, NewKey("k"))
            self._keys[name] = made.shown
        await self._services.orgs.create(await self._who("ada"), self.victim)
        await self._services.orgs.create(await self._who("owner"), self.own)
        await self._services.orgs.members.add(
            await self._who("owner"), self.own, f"maintainer-{number}@example.org", MemberRole.MAINTAINER
        )  # fmt: skip
        for org, name in ((self.victim, "ada"), (self.own, "owner")):
            who = await self._who(name)
            await self._services.servers.create(who, NewServer(REMOTE, name=org, org=org))  # fmt: skip
            await self._services.bundles.create(who, NewBundle(org, members=(NewMember(org),), org=org))  # fmt: skip
        self.victim_id = (await self._services.orgs.get(await self._who("ada"), self.victim)).org.id  # fmt: skip

    async def _who(self, name: str) -> Principal:
        return await self._services.accounts.keys.authenticate(self._keys[name])

    def _name(self, which: str | None) -> str | None:
        return None if which is None else getattr(self, which)

    def _try(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Do it, or be refused in a way that is told."""
        try:
            return self._runner.run(coroutine)
        except DomainError:
            return None

    def _principal(self, name: str) -> Principal:
        return self._runner.run(self._who(name))

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        return self._database.run_blocking(
            lambda: list(self._database.peewee.execute_sql(sql, values).fetchall())
        )

    def _state(self) -> list[Any]:
        """Return who belongs to the first organisation, and what."""
        return [
            self._rows("SELECT user_id, role FROM org_members WHERE org_id = %s", self.victim_id),
            self._rows("SELECT id, desired_state, endpoint_key_hash FROM servers WHERE org_id = %s", self.victim_id),
            self._rows("SELECT id, separator FROM bundles WHERE org_id = %s", self.victim_id),
            self._rows("SELECT id FROM org_invitations WHERE org_id = %s", self.victim_id),
        ]  # fmt: skip

    @rule(who=WHO, place=PLACES)
    def add_a_server(self, who: str, place: str | None) -> None:
        new = NewServer(REMOTE, name=f"s{next(_numbers)}", org=self._name(place))
        self._try(self._services.servers.create(self._principal(who), new))

    @rule(who=WHO, place=PLACES, server=SERVERS)
    def bundle_a_server(self, who: str, place: str | None, server: str) -> None:
        member = NewMember(getattr(self, server))
        new = NewBundle(f"b{next(_numbers)}", members=(member,), org=self._name(place))
        self._try(self._services.bundles.create(self._principal(who), new))

    @rule(who=WHO, place=PLACES, server=SERVERS)
    def transfer_a_server(self, who: str, place: str | None, server: str) -> None:
        self._try(
            self._services.transfers.transfer(
                self._principal(who), getattr(self, server), org=self._name(place)
            )
        )

    @rule(who=WHO, place=PLACES, bundle=SERVERS)
    def transfer_a_bundle(self, who: str, place: str | None, bundle: str) -> None:
        self._try(
            self._services.bundles.transfer(
                self._principal(who), getattr(self, bundle), org=self._name(place)
            )
        )

    @rule(who=WHO, place=SERVERS, other=WHO, role=ROLES)
    def make_somebody_a_member(
        self, who: str, place: str, other: str, role: MemberRole
    ) -> None:
        email = self._principal(other).email
        orgs, org = self._services.orgs, getattr(self, place)
        self._try(orgs.members.add(self._principal(who), org, email, role))

    @rule(who=WHO, place=SERVERS, role=ROLES)
    def invite(self, who: str, place: str, role: MemberRole) -> None:
        invitations, org = self._services.invitations, getattr(self, place)
        made = self._try(invitations.create(self._principal(who), org, role))
        if made is not None:
            self._tokens.append(made[1])

    @rule(who=WHO, data=st.data())
    def join(self, who: str, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(self._tokens))
        self._try(self._services.invitations.accept(self._principal(who), token))

    @rule(who=WHO, place=SERVERS)
    def delete(self, who: str, place: str) -> None:
        name, principal = getattr(self, place), self._principal(who)
        self._try(self._services.servers.rotate_key(principal, name))
        self._try(self._services.bundles.rotate_key(principal, name))
        self._try(self._services.orgs.delete(principal, name))

    @invariant()
    def the_other_organisation_is_as_it_was(self) -> None:
        assert self._state()[0] == self._before[0]
        assert self._state()[1:] == self._before[1:]

    @invariant()
    def nothing_of_it_is_seen_or_called(self) -> None:
        for name in ("owner", "maintainer", "drifter"):
            who = self._principal(name)
            servers = self._runner.run(self._services.servers.page(who, limit=200))
            bundles = self._runner.run(self._services.bundles.page(who, limit=200))
            orgs = self._runner.run(self._services.orgs.page(who, limit=200))
            seen = {view.server.org_id for view in servers}
            seen |= {view.bundle.org_id for view in bundles}
            assert self.victim_id not in seen | {view.org.id for view in orgs}
            for asked in (
                self._services.servers.get(who, self.victim),
                self._services.bundles.get(who, self.victim),
                self._services.orgs.get(who, self.victim),
                self._services.orgs.members.list(who, self.victim),
            ):
                assert self._try(asked) is None
            (row,) = self._rows("SELECT org_ids FROM gateway_people WHERE user_id = %s", who.user_id)  # fmt: skip
            assert self.victim_id not in row[0]
        held = self._rows(
            "SELECT b.name FROM gateway_bundles b, jsonb_array_elements(b.members) m, servers s"
            " WHERE s.id = (m ->> 'server_id')::bigint AND s.org_id = %s"
            " AND (m ->> 'is_permitted')::boolean AND b.org_id IS DISTINCT FROM %s",
            self.victim_id,
            self.victim_id,
        )
        assert held == []

    def teardown(self) -> None:
        """Hang up."""

        async def close() -> None:
            await self._session.close()
            await self._services.events.close()
            await self._services.servers._builds._engine.close()
            self._services.accounts.close()

        self._runner.run(close())
        self._runner.close()
