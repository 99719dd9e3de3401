"""Queries about who is on the way; every function runs inside ``database.run``."""

from datetime import timedelta

from appliance.core.clock import now
from appliance.signin.tables import AttemptRow


def add(
    state_hash: bytes, browser_hash: bytes, sealed: bytes, *, lasts: timedelta
) -> None:
    """Insert somebody who leaves; those who did not come back in time are forgotten."""
    moment = now()
    AttemptRow.delete().where(AttemptRow.expires_at < moment).execute()
    AttemptRow.insert(
        state_hash=state_hash,
        browser_hash=browser_hash,
        sealed=sealed,
        created_at=moment,
        expires_at=moment + lasts,
    ).execute()


def take(state_hash: bytes, browser_hash: bytes) -> bytes | None:
    """Remove whoever comes back, in the browser that left, and return what was sealed; it is there once."""
    rows = list(
        AttemptRow.delete()
        .where(
            AttemptRow.state_hash == state_hash,
            AttemptRow.browser_hash == browser_hash,
            AttemptRow.expires_at > now(),
        )
        .returning(AttemptRow)
        .execute()
    )
    return bytes(rows[0].sealed) if rows else None
