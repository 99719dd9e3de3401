"""Queries about tries to sign in; every function runs inside ``database.run``."""

from datetime import datetime

from appliance.accounts.tables import LoginAttemptRow
from appliance.core.clock import now
from appliance.infra.database import proxy

#: First half of the lock on a subject's attempts.
LOCK = 0x4D43_5041


def lock(subjects: tuple[str, ...]) -> None:
    """Wait until nobody else tries for one of the subjects; the transaction's end lets the next one in."""
    for subject in sorted(subjects):
        proxy.execute_sql(
            "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, subject)
        )


def add(subjects: tuple[str, ...], *, succeeded: bool) -> list[int]:
    """Remember a try to sign in under each of its subjects; return the rows' ids."""
    rows = [
        LoginAttemptRow.create(subject=subject, succeeded=succeeded, at=now())
        for subject in subjects
    ]
    return [row.id for row in rows]


def forget(ids: list[int]) -> None:
    """Take back what was remembered."""
    LoginAttemptRow.delete().where(LoginAttemptRow.id.in_(ids)).execute()


def failures(subject: str, since: datetime) -> list[datetime]:
    """Return the moments of failed tries since then, and since the last success, oldest first."""
    tries = (
        LoginAttemptRow.select(LoginAttemptRow.succeeded, LoginAttemptRow.at)
        .where(LoginAttemptRow.subject == subject, LoginAttemptRow.at > since)
        .order_by(LoginAttemptRow.id)
    )
    found: list[datetime] = []
    for row in tries:
        found = [] if row.succeeded else [*found, row.at]
    return found


def prune(before: datetime) -> int:
    """Remove older tries; return how many rows went."""
    return int(LoginAttemptRow.delete().where(LoginAttemptRow.at < before).execute())
