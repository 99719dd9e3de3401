"""What servers are asked: tests and suites, written by people."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from appliance.accounts.model import Action, Principal
from appliance.core.errors import InvalidError
from appliance.evaluations import suite_store, timing
from appliance.evaluations.certifications import requirement_name, tier_name
from appliance.evaluations.expectations import checked
from appliance.evaluations.ports import Hide, Subject, Subjects, Targets
from appliance.evaluations.store import moment
from appliance.evaluations.suite_work import run_test
from appliance.evaluations.suites import (
    MAX_TESTS,
    MAX_TIMEOUT_S,
    Certifies,
    NewSuite,
    NewTest,
    Result,
    Suite,
    Test,
    Version,
)
from appliance.infra.database import Database
from appliance.observability import audit

#: Seconds in which a version must answer for a test that is tried out.
TRY_S = 60.0
MAX_NAME = 100


class Book:
    """Keeps tests and suites.

    What is written is checked in a thread: libraries that read it are loaded when the first of their kind comes.

    Args:
        subjects: Knows who may do what with a server.
        targets: Finds versions, and has them asked.
        hide: Takes a server's secrets out of what it said.
    """

    def __init__(
        self, database: Database, *, subjects: Subjects, targets: Targets, hide: Hide
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._subjects = subjects
        self._targets = targets
        self._hide = hide

    # -- tests

    async def tests(self, principal: Principal, server: int | str) -> list[Test]:
        """Return a server's tests by name.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
        """

        def read() -> list[Test]:
            found = self._subjects(principal, server, Action.SEE)
            return suite_store.tests(found.server_id)

        return await self._database.run(read)

    async def put_test(
        self,
        principal: Principal,
        server: int | str,
        wanted: NewTest,
        test_id: int | None = None,
    ) -> Test:
        """Add a test, or change the one of this id.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it, not change it.
            InvalidError: Something in the test makes no sense; names the field.
            TestNotFoundError: There is none of this id.
            NameTakenError: The server has another one of this name.
        """
        wanted = await asyncio.to_thread(checked_test, wanted)

        def write() -> Test:
            subject = self._subjects(principal, server, Action.CHANGE)
            if test_id is not None:
                made = suite_store.change_test(subject.server_id, test_id, wanted)
            else:
                if len(suite_store.tests(subject.server_id)) >= MAX_TESTS:
                    raise InvalidError.field("name", f"{MAX_TESTS} tests are the most")
                made = suite_store.add_test(subject.server_id, wanted, principal.name)
            details = {"test": wanted.name, "tool": wanted.tool}
            record(principal, "evaluation.put_test", subject, details)
            return made

        return await self._database.run(write)

    async def remove_test(
        self, principal: Principal, server: int | str, test_id: int
    ) -> None:
        """Remove a test.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it, not change it.
            TestNotFoundError: There is none of this id.
            TestInUseError: A suite holds it.
        """

        def write() -> None:
            subject = self._subjects(principal, server, Action.CHANGE)
            gone = suite_store.remove_test(subject.server_id, test_id)
            details = {"test": gone.wanted.name}
            record(principal, "evaluation.remove_test", subject, details)

        await self._database.run(write)

    async def try_test(
        self,
        principal: Principal,
        server: int | str,
        wanted: NewTest,
        number: int | None = None,
    ) -> Result:
        """Run a test once without keeping it, or what comes of it.

        Args:
            number: Of the deployment that is asked; ``None``: the one that clients are sent to.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it, not call it.
            InvalidError: Something in the test makes no sense; names the field.
            NothingToAskError: No version of it could be asked.
            UnavailableError: It does not answer.
        """
        wanted = await asyncio.to_thread(checked_test, wanted)

        def find() -> Version:
            subject = self._subjects(principal, server, Action.CALL)
            details = {"tool": wanted.tool}
            record(principal, "evaluation.try_test", subject, details)
            return self._targets.version(subject.server_id, number=number)

        version = await self._database.run(find)
        hide = await self._hide(version.server_id)
        holder = f"test of {principal.name}"
        async with self._targets.open(version, holder, TRY_S) as caller:
            return await run_test(wanted, 0, caller, hide)

    # -- suites

    async def suites(self, principal: Principal, server: int | str) -> list[Suite]:
        """Return a server's suites by name.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
        """

        def read() -> list[Suite]:
            found = self._subjects(principal, server, Action.SEE)
            return suite_store.suites(found.server_id)

        return await self._database.run(read)

    async def put_suite(
        self,
        principal: Principal,
        server: int | str,
        wanted: NewSuite,
        suite_id: int | None = None,
    ) -> Suite:
        """Add a suite, or change the one of this id.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it, not change it, or not certify it, where the suite does.
            InvalidError: Something in the suite makes no sense; names the field.
            SuiteNotFoundError: There is none of this id.
            NameTakenError: The server has another one of this name.
        """
        wanted = await asyncio.to_thread(checked_suite, wanted)

        def write() -> Suite:
            subject = self._subjects(principal, server, Action.CHANGE)
            known = {item.id for item in suite_store.tests(subject.server_id)}
            if missing := [item for item in wanted.test_ids if item not in known]:
                raise InvalidError.field("tests", f"there is no test {missing[0]}")
            following = (
                timing.next_run(wanted.schedule, moment()) if wanted.schedule else None
            )
            made = suite_store.put_suite(
                subject.server_id,
                wanted,
                next_run_at=following,
                created_by=principal.name,
                suite_id=suite_id,
            )
            certifies = wanted.certifies.requirement if wanted.certifies else ""
            details = {"suite": wanted.name, "certifies": certifies}
            record(principal, "evaluation.put_suite", subject, details)
            return made

        return await self._database.run(write)

    async def remove_suite(
        self, principal: Principal, server: int | str, suite_id: int
    ) -> None:
        """Remove a suite; what came of its runs stays.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it, not change it.
            SuiteNotFoundError: There is none of this id.
        """

        def write() -> None:
            subject = self._subjects(principal, server, Action.CHANGE)
            gone = suite_store.remove_suite(subject.server_id, suite_id)
            details = {"suite": gone.wanted.name}
            record(principal, "evaluation.remove_suite", subject, details)

        await self._database.run(write)


def checked_test(wanted: NewTest) -> NewTest:
    """Return a test as it is kept.

    Raises:
        InvalidError: Something in it makes no sense; names the field.
    """
    name = wanted.name.strip()
    if not 0 < len(name) <= MAX_NAME:
        raise InvalidError.field("name", f"must be 1 to {MAX_NAME} characters")
    if not wanted.tool:
        raise InvalidError.field("tool", "is required")
    if not 0 < wanted.timeout_s <= MAX_TIMEOUT_S:
        raise InvalidError.field(
            "timeout_s", f"must be above 0 and at most {MAX_TIMEOUT_S:g} seconds"
        )
    return replace(wanted, name=name, expectation=checked(wanted.expectation))


def checked_suite(wanted: NewSuite) -> NewSuite:
    """Return a suite as it is kept.

    Raises:
        InvalidError: Something in it makes no sense; names the field.
    """
    name = wanted.name.strip()
    if not 0 < len(name) <= MAX_NAME:
        raise InvalidError.field("name", f"must be 1 to {MAX_NAME} characters")
    if not wanted.test_ids:
        raise InvalidError.field("tests", "name at least one test")
    if not 0 < wanted.pass_share <= 1:
        raise InvalidError.field("pass_share", "must be above 0 and at most 1")
    return replace(
        wanted,
        name=name,
        test_ids=tuple(dict.fromkeys(wanted.test_ids)),
        certifies=checked_certifies(wanted.certifies),
        schedule=timing.checked(wanted.schedule) if wanted.schedule else None,
    )


def checked_certifies(certifies: Certifies | None) -> Certifies | None:
    """Return what is to be certified, by the names that are used for it.

    Raises:
        InvalidError: Requirement or tier are none.
    """
    if certifies is None:
        return None
    return replace(
        certifies,
        requirement=requirement_name(certifies.requirement),
        tier=tier_name(certifies.tier) if certifies.tier else "",
    )


def record(
    principal: Principal, action: str, subject: Subject, details: Mapping[str, Any]
) -> None:
    """Write into the trail what somebody did with a server's evaluations; runs inside ``database.run``."""
    audit.record(
        principal,
        action,
        object_type="server",
        object_id=subject.server_id,
        object_name=subject.server_name,
        details=details,
    )
