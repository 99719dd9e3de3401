"""Tests, suites and accepted differences as rows; every function runs inside ``database.run``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from peewee import IntegrityError, fn

from appliance.evaluations.errors import (
    NameTakenError,
    SuiteNotFoundError,
    TestInUseError,
    TestNotFoundError,
)
from appliance.evaluations.store import moment
from appliance.evaluations.suites import (
    Accepted,
    Certifies,
    NewSuite,
    NewTest,
    Schedule,
    Suite,
    Test,
)
from appliance.evaluations.tables import AcceptedRow, SuiteRow, TestRow

# -- tests


def tests(server_id: int) -> list[Test]:
    """Return a server's tests by name."""
    rows = TestRow.select().where(TestRow.server_id == server_id)
    return [_test(row) for row in rows.order_by(TestRow.name)]


def test(server_id: int, test_id: int) -> Test:
    """Return one test of a server.

    Raises:
        TestNotFoundError: There is none of this id.
    """
    row = TestRow.get_or_none(TestRow.id == test_id, TestRow.server_id == server_id)
    if row is None:
        raise TestNotFoundError(f"There is no test {test_id}.")
    return _test(row)


def add_test(server_id: int, wanted: NewTest, created_by: str) -> Test:
    """Add a test.

    Raises:
        NameTakenError: The server has one of this name.
    """
    at = moment()
    try:
        row = TestRow.create(
            server_id=server_id,
            created_by=created_by,
            created_at=at,
            updated_at=at,
            **asdict(wanted),
        )
    except IntegrityError as error:
        raise NameTakenError(f"There is a test {wanted.name} already.") from error
    return _test(row)


def change_test(server_id: int, test_id: int, wanted: NewTest) -> Test:
    """Change a test.

    Raises:
        TestNotFoundError: There is none of this id.
        NameTakenError: The server has another one of this name.
    """
    test(server_id, test_id)
    try:
        TestRow.update(**asdict(wanted), updated_at=moment()).where(
            TestRow.id == test_id
        ).execute()
    except IntegrityError as error:
        raise NameTakenError(f"There is a test {wanted.name} already.") from error
    return test(server_id, test_id)


def remove_test(server_id: int, test_id: int) -> Test:
    """Remove a test that no suite holds.

    Raises:
        TestNotFoundError: There is none of this id.
        TestInUseError: A suite holds it.
    """
    found = test(server_id, test_id)
    for suite in suites(server_id):
        if test_id in suite.wanted.test_ids:
            raise TestInUseError(
                f"The suite {suite.wanted.name} holds this test.",
                hint="Take it out of the suite first.",
            )
    TestRow.delete().where(TestRow.id == test_id).execute()
    return found


def _test(row: TestRow) -> Test:
    wanted = NewTest(
        **{name: getattr(row, name) for name in NewTest.__dataclass_fields__}
    )
    return Test(
        id=row.id,
        server_id=row.server_id,
        wanted=wanted,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


# -- suites


def suites(server_id: int) -> list[Suite]:
    """Return a server's suites by name."""
    rows = SuiteRow.select().where(SuiteRow.server_id == server_id)
    return [_suite(row) for row in rows.order_by(SuiteRow.name)]


def suite(suite_id: int, server_id: int | None = None) -> Suite:
    """Return one suite.

    Raises:
        SuiteNotFoundError: There is none of this id, or it is another server's.
    """
    row = SuiteRow.get_or_none(SuiteRow.id == suite_id)
    if row is None or server_id not in {None, row.server_id}:
        raise SuiteNotFoundError(f"There is no suite {suite_id}.")
    return _suite(row)


def suite_named(server_id: int, name: str) -> Suite:
    """Return a server's suite of this name.

    Raises:
        SuiteNotFoundError: There is none.
    """
    row = SuiteRow.get_or_none(SuiteRow.server_id == server_id, SuiteRow.name == name)
    if row is None:
        raise SuiteNotFoundError(f"There is no suite {name}.")
    return _suite(row)


def put_suite(
    server_id: int,
    wanted: NewSuite,
    *,
    next_run_at: datetime | None,
    created_by: str,
    suite_id: int | None = None,
) -> Suite:
    """Add a suite, or change the one of this id.

    Raises:
        SuiteNotFoundError: There is none of this id.
        NameTakenError: The server has another one of this name.
    """
    at = moment()
    values = _columns(wanted) | {"next_run_at": next_run_at, "updated_at": at}
    try:
        if suite_id is None:
            return _suite(
                SuiteRow.create(
                    server_id=server_id, created_by=created_by, created_at=at, **values
                )
            )
        suite(suite_id, server_id)
        SuiteRow.update(**values).where(SuiteRow.id == suite_id).execute()
    except IntegrityError as error:
        raise NameTakenError(f"There is a suite {wanted.name} already.") from error
    return suite(suite_id)


def remove_suite(server_id: int, suite_id: int) -> Suite:
    """Remove a suite; what came of its runs stays.

    Raises:
        SuiteNotFoundError: There is none of this id.
    """
    found = suite(suite_id, server_id)
    SuiteRow.delete().where(SuiteRow.id == suite_id).execute()
    return found


def due_suites(limit: int) -> list[Suite]:
    """Return suites whose time has come, and hold their rows."""
    rows = (
        SuiteRow.select()
        .where(SuiteRow.next_run_at <= fn.now())
        .order_by(SuiteRow.next_run_at)
        .limit(limit)
        .for_update(skip_locked=True)
    )
    return [_suite(row) for row in rows]


def set_next_run(suite_id: int, at: datetime | None) -> None:
    """Note when a suite runs next."""
    SuiteRow.update(next_run_at=at).where(SuiteRow.id == suite_id).execute()


def certifying(server_ids: Sequence[int], requirement: str) -> list[Suite]:
    """Return the suites of these servers that certify a requirement."""
    rows = SuiteRow.select().where(
        SuiteRow.server_id.in_(list(server_ids)),
        SuiteRow.certifies.is_null(is_null=False),
    )
    found = [_suite(row) for row in rows.order_by(SuiteRow.id)]
    return [
        item
        for item in found
        if item.wanted.certifies and item.wanted.certifies.requirement == requirement
    ]


def _columns(wanted: NewSuite) -> dict[str, Any]:
    return {
        "name": wanted.name,
        "test_ids": list(wanted.test_ids),
        "pass_share": wanted.pass_share,
        "certifies": asdict(wanted.certifies) if wanted.certifies else None,
        "schedule": asdict(wanted.schedule) if wanted.schedule else None,
    }


def _suite(row: SuiteRow) -> Suite:
    certifies: Mapping[str, Any] | None = row.certifies
    schedule: Mapping[str, Any] | None = row.schedule
    return Suite(
        id=row.id,
        server_id=row.server_id,
        wanted=NewSuite(
            name=row.name,
            test_ids=tuple(row.test_ids),
            pass_share=row.pass_share,
            certifies=Certifies(**certifies) if certifies else None,
            schedule=Schedule(**schedule) if schedule else None,
        ),
        next_run_at=row.next_run_at,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


# -- accepted differences


def accepted(server_id: int) -> list[Accepted]:
    """Return the differences that were accepted of a server, the newest first."""
    rows = AcceptedRow.select().where(AcceptedRow.server_id == server_id)
    return [_accepted(row) for row in rows.order_by(AcceptedRow.id.desc())]


def accept(
    server_id: int, *, tool: str, path: str, kind: str, reason: str, accepted_by: str
) -> None:
    """Accept a difference; one that is accepted already stays as it is."""
    AcceptedRow.insert(
        server_id=server_id,
        tool=tool,
        path=path,
        kind=kind,
        reason=reason,
        accepted_by=accepted_by,
        accepted_at=moment(),
    ).on_conflict_ignore().execute()


def take_back(server_id: int, accepted_id: int) -> Accepted | None:
    """Accept a difference no more; return it, if there was such a one."""
    row = AcceptedRow.get_or_none(
        AcceptedRow.id == accepted_id, AcceptedRow.server_id == server_id
    )
    if row is not None:
        AcceptedRow.delete().where(AcceptedRow.id == accepted_id).execute()
    return _accepted(row) if row else None


def _accepted(row: AcceptedRow) -> Accepted:
    return Accepted(
        **{name: getattr(row, name) for name in Accepted.__dataclass_fields__}
    )
