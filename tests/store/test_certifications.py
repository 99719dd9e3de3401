"""Certifications on a real Postgres: one row a thing, the owner's own counts, every moment is told of once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from appliance.evaluations import store
from appliance.evaluations.errors import CertificationChangedError
from appliance.evaluations.expiry import ExpiryWatch
from appliance.evaluations.model import About, Certification, Finding, Status
from appliance.evaluations.tables import CertificationRow
from appliance.infra.database import Database
from appliance.jobs import store as jobs
from appliance.observability import event_store
from tests.fakes.runs import digest

ABOUT = About(None, 7, "time", 1, None, digest(1), "gold:npm", "smoke")
PASS = Finding(Status.PASS)


def put(
    database: Database, about: About = ABOUT, finding: Finding = PASS, **more: Any
) -> Certification:
    return database.run_blocking(
        lambda: store.put(about, finding, "somebody", **more)[1]
    )


def latest(database: Database, **whose: int | None) -> dict[str, Certification]:
    owner = {"owner_id": 1, "org_id": None} | whose
    return dict(
        database.run_blocking(
            lambda: store.latest_for(
                digest(1), "gold:npm", ["smoke", "review"], **owner
            )
        )
    )


def test_what_is_found_again_replaces_what_was_known(database: Database) -> None:
    first = put(database)
    second = put(database, finding=Finding(Status.FAIL, note="it lies"))

    assert (second.id, second.version) == (first.id, 2)
    assert latest(database)["smoke"].finding.status is Status.FAIL
    assert "review" not in latest(database)


def test_of_two_who_saw_the_same_the_second_is_refused(database: Database) -> None:
    seen = put(database, expected_version=0)
    put(database, finding=Finding(Status.FAIL), expected_version=seen.version)

    with pytest.raises(CertificationChangedError):
        put(database, expected_version=seen.version)
    with pytest.raises(CertificationChangedError):
        put(database, expected_version=0)
    assert latest(database)["smoke"].finding.status is Status.FAIL


def test_what_others_say_of_the_same_digest_does_not_count(database: Database) -> None:
    put(database)
    strangers = replace(ABOUT, server_id=8, owner_id=2)
    put(database, strangers, Finding(Status.FAIL))
    orgs = replace(ABOUT, server_id=9, org_id=5)
    put(database, orgs, Finding(Status.PENDING))

    assert latest(database)["smoke"].finding.status is Status.PASS
    assert latest(database, owner_id=2)["smoke"].finding.status is Status.FAIL
    assert (
        latest(database, owner_id=2, org_id=5)["smoke"].finding.status is Status.PENDING
    )
    assert latest(database, owner_id=3) == {}

    database.run_blocking(lambda: store.give(7, owner_id=1, org_id=6))
    assert latest(database) == {}
    assert latest(database, org_id=6)["smoke"].finding.status is Status.PASS


async def test_its_end_is_warned_of_and_told_once(database: Database) -> None:
    at = database.run_blocking(store.moment)
    window = replace(PASS, valid_from=at, valid_until=at + timedelta(days=30))
    found = put(database, finding=window)
    watch = ExpiryWatch(database)

    assert await watch.look() == 0
    seen = []
    for days in (24, 31):

        def age(days: int = days) -> None:
            back = {"valid_from": at - timedelta(days=days)}
            back |= {"valid_until": at + timedelta(days=30 - days), "due_at": at}
            CertificationRow.update(back).where(
                CertificationRow.id == found.id
            ).execute()

        database.run_blocking(age)
        assert (await watch.look(), await watch.look()) == (1, 0)
        seen.append(database.run_blocking(lambda: event_store.after(0))[-1].kind)

    assert seen == ["certification.expiring", "certification.expired"]
    (job,) = database.run_blocking(lambda: jobs.page(kind="policy.review"))
    assert job.payload == {"digest": digest(1)}
