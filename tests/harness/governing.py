"""People, workflows and jobs for tests of governance and promotions on a real Postgres."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from appliance.accounts.model import SYSTEM, MemberRole, Principal, Role
from appliance.governance.deciding import Decision
from appliance.governance.model import NewWorkflow, Notify, Step, Verdict
from appliance.governance.room import Governance, make_governance
from appliance.governance.runs import RunView
from appliance.infra.database import Database
from appliance.jobs.worker import JobWorker
from appliance.promotions.room import Promotions, make_promotions
from appliance.settings import Settings, load_settings

TIER = "gold:npm"
YES, NO = Decision(Verdict.APPROVE), Decision(Verdict.REJECT, "It smells.")
APPROVAL = Step("review", "approval", {"quorum": 1})


def digest(number: int) -> str:
    """Return a digest that no other number has."""
    return f"sha256:{number:064x}"


async def world_of(database: Database, **settings: Any) -> "World":
    """Return a world with everybody in it, on a hub with these settings."""
    found = await asyncio.to_thread(
        load_settings,
        jwt_secret=secrets.token_urlsafe(48),
        remote_allow_private=True,
        **settings,
    )
    return await World(database, found).people()


class World:
    """Ada, who makes things, Bob, Cid and Dan of her organisation, and Eve, who is a stranger."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """Make the rooms; ``people`` fills in who lives there."""
        self.database = database
        #: By server, the digest that its clients are sent to.
        self.live: dict[int, str] = {}
        self.governance: Governance = make_governance(database, settings)
        self.promotions: Promotions = make_promotions(database, live=self.live.get)
        self.ada, self.bob, self.cid, self.eve = (
            self._person(number, name, member)
            for number, (name, member) in enumerate(
                (
                    ("ada", MemberRole.OWNER),
                    ("bob", MemberRole.MAINTAINER),
                    ("cid", MemberRole.DEPLOYER),
                    ("eve", None),
                ),
                1,
            )
        )
        self.reader = Principal(5, "reader@example.org", Role.READER, "session")

    @staticmethod
    def _person(number: int, name: str, member: MemberRole | None) -> Principal:
        memberships = {1: member} if member else {}
        return Principal(
            number,
            f"{name}@example.org",
            Role.MEMBER,
            "session",
            memberships=memberships,
        )

    async def people(self) -> "World":
        """Add everybody, and the organisation acme."""

        def add() -> None:
            run: Any = self.database.peewee.execute_sql
            for person in (self.ada, self.bob, self.cid, self.eve, self.reader):
                run(
                    "INSERT INTO users (id, email, password_hash, role) VALUES (%s, %s, '', %s)",
                    (person.user_id, person.email, person.role.value),
                )
            run(
                "INSERT INTO orgs (id, name, title, created_by) VALUES (1, 'acme', 'Acme', 'ada')"
            )

        await self.database.run(add)
        return self

    async def workflow(self, *steps: Step, name: str = "release", **more: Any) -> int:
        """Make a workflow of the organisation's and return its number."""
        notify = more.pop("notify", Notify())
        new = NewWorkflow(name, steps, notify=notify, org="acme", **more)
        view, _ = await self.governance.workflows.create(self.ada, new)
        return view.workflow.id

    async def start(self, workflow: int | str = "release", number: int = 1) -> int:
        """Have Ada start a run for a digest and return its number."""
        view = await self.governance.runs.start(
            self.ada, workflow, digest=digest(number), tier=TIER
        )
        return view.run.id

    async def look(self, run_id: int) -> RunView:
        """Return a run as it is."""
        return await self.governance.runs.get(SYSTEM, run_id)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Have jobs done meanwhile."""
        handlers = {**self.governance.handlers, **self.promotions.handlers}
        worker = JobWorker(self.database, handlers)
        await worker.start()
        try:
            yield
        finally:
            await worker.stop()

    async def jobs(self, kind: str) -> list[dict[str, Any]]:
        """Return the payloads of the jobs of a kind, oldest first."""
        sql = "SELECT payload FROM jobs WHERE kind = %s ORDER BY id"
        cursor = await self.database.run(self.database.peewee.execute_sql, sql, (kind,))
        return [row[0] for row in cursor.fetchall()]
