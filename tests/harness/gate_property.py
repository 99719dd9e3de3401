"""Owners, reviewers, time and death act in any order; nothing is launched that the policy of that moment does not allow."""

import asyncio
import itertools
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from appliance.core.errors import DomainError
from appliance.infra.database import Database
from appliance.policy import document_store
from appliance.policy.document import parse
from appliance.settings import Settings
from tests.fakes.box import KilledError
from tests.harness.governed_world import Meddler, World

DEEDS = (
    *("redeploy", "certify", "certify", "certify", "expire", "not_yet"),
    *("schedule", "move", "move", "crash", "review", "lease", "unlease"),
    *("stop", "begin_again", "policy", "policy"),
)
WHO = st.sampled_from((0, 1))
DEED = st.sampled_from(DEEDS)
#: What takes from a version that runs what it was launched for, or gives it back.
TURN = st.sampled_from(("expire", "not_yet", "move", "policy", "certify", "redeploy"))
NUMBER = st.integers(0, 29)
#: Calls after which a reconciliation may be cut off; most make fewer.
CALL = st.integers(1, 28)
_place = itertools.count(1)


def policies(track: str) -> tuple[list[dict[str, Any]], ...]:
    """Return the rules that somebody may make active."""
    smoke = {"kind": "require-certification", "requirements": ["smoke"]}
    both = {"kind": "require-certification", "tiers": ["gold:*"], "requirements": ["smoke", "review"]}  # fmt: skip
    ends = {**smoke, "on_expiry": "stop"}
    promoted = {"kind": "require-promotion", "track": track}
    return ([], [smoke], [both], [ends], [promoted], [smoke, promoted], [{"kind": "require-promotion"}, ends])  # fmt: skip


class Histories(RuleBasedStateMachine):
    """One history; hypothesis makes up many, and shortens one that fails."""

    def __init__(self, database: Database, config: Settings, place: Path) -> None:
        """Begin a world of its own on the common database."""
        super().__init__()
        self._runner = asyncio.Runner()
        self._database = database
        folder = place / f"world-{next(_place)}"
        folder.mkdir()
        self.world = World.make(database, config, folder)
        self._do(self._deed(0, "policy", 0))
        self._do(self.world.begin())
        self._do(self.world.reconcile(0))

    def _do(self, deed: Awaitable[object]) -> None:
        """Do it, or be refused in a way that is told, or die."""

        async def run() -> None:
            await deed

        try:
            self._runner.run(run())
        except (DomainError, KilledError):
            return

    async def _deed(self, who: int, name: str, number: int) -> None:
        if name != "policy":
            await getattr(self.world, name)(who, number)
            return
        rules = policies(self.world.track or "none")

        def write() -> None:
            body = parse({"version": 1, "rules": rules[number % len(rules)]}).as_dict()
            made = document_store.add(body, note="", by="ada")
            document_store.activate(made.version, by="ada")

        await self._database.run(write)

    @rule(who=WHO, deed=DEED, number=NUMBER)
    def something_happens(self, who: int, deed: str, number: int) -> None:
        self._do(self._deed(who, deed, number))

    @rule(who=WHO)
    def hub_works(self, who: int) -> None:
        self._do(self.world.reconcile(who))

    @rule(who=WHO, policy=NUMBER, version=NUMBER)
    def next_version_meets_a_policy(self, who: int, policy: int, version: int) -> None:
        self._do(self._deed(who, "policy", policy))
        self._do(self.world.redeploy(who, version))
        self._do(self.world.reconcile(who))

    @rule(who=WHO, deed=TURN, number=NUMBER)
    def what_was_certified_runs_then_something_happens_and_it_crashes(
        self, who: int, deed: str, number: int
    ) -> None:
        for certified in (0, 5):
            self._do(self.world.certify(who, certified))
        self._do(self.world.reconcile(who))
        self._do(self._deed(who, deed, number))
        self._do(self.world.crash(who, 0))
        self._do(self.world.reconcile(who))

    @rule(who=WHO, at=CALL, after=st.booleans())
    def hub_dies(self, who: int, at: int, after: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        self._do(self.world.reconcile(who, Meddler(at=at, after=after)))

    @rule(who=WHO, at=CALL, other=WHO, deed=DEED, number=NUMBER)
    def something_happens_while_the_hub_works(  # noqa: PLR0917 - hypothesis passes them by name
        self, who: int, at: int, other: int, deed: str, number: int
    ) -> None:
        async def meddle() -> None:
            try:
                await self._deed(other, deed, number)
            except DomainError:
                return

        self._do(self.world.reconcile(who, Meddler(at=at, deed=meddle)))

    @invariant()
    def no_client_reaches_a_candidate(self) -> None:
        self._do(self.world.no_client_reaches_a_candidate())

    def teardown(self) -> None:
        """Let both servers come to rest without further deaths, and hold what was decided last."""
        try:
            for who in (0, 1):
                self._do(self.world.reconcile(who))
        finally:
            self._runner.close()


def search(
    database: Database, config: Settings, place: Path, *, examples: int, steps: int
) -> tuple[int, int]:
    """Make up histories; return how many launches and holds there were. Raises where one breaks the claim."""
    found: list[World] = []

    class Here(Histories):
        """The machine on this database."""

        def __init__(self) -> None:
            super().__init__(database, config, place)
            found.append(self.world)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return sum(w.judge.launches for w in found), sum(w.judge.holds for w in found)
