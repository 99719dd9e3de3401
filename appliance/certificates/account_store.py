"""Queries about accounts at authorities. Every function runs inside ``database.run``."""

from datetime import datetime
from typing import Any

from appliance.certificates.lifecycle import failed_again
from appliance.certificates.model import Account, ErrorKind
from appliance.certificates.store import MAX_TEXT
from appliance.certificates.tables import AccountRow
from appliance.core.clock import now


def get(directory_url: str) -> tuple[Account, bytes] | None:
    """Return the account at an authority, and its sealed key."""
    row = AccountRow.get_or_none(AccountRow.directory_url == directory_url)
    return None if row is None else (_account(row), bytes(row.key_sealed))


def all_accounts() -> list[Account]:
    """Return every account."""
    query = AccountRow.select().order_by(AccountRow.directory_url)
    return [_account(row) for row in query]


def _account(row: AccountRow) -> Account:
    return Account(
        directory_url=row.directory_url,
        uri=row.uri,
        email=row.email,
        status=row.status,
        attempts=row.attempts,
        attempted_at=row.attempted_at,
        next_attempt_at=row.next_attempt_at,
        error_kind=ErrorKind(row.error_kind) if row.error_kind else None,
        error=row.error,
        created_at=row.created_at,
    )


def begin(directory_url: str, key_sealed: bytes, email: str) -> None:
    """Keep the key of a new account before the authority hears of it; one that was there is forgotten, its failures are not."""
    values = {"key_sealed": key_sealed, "email": email, "uri": "", "status": "new"}
    AccountRow.insert(directory_url=directory_url, **values).on_conflict(
        conflict_target=[AccountRow.directory_url], update=values
    ).execute()


def change(directory_url: str, **values: Any) -> None:
    """Set columns of an account."""
    AccountRow.update(**values).where(
        AccountRow.directory_url == directory_url
    ).execute()


def keep_success(directory_url: str) -> None:
    """Keep that the authority answered as it should."""
    AccountRow.update(
        status="valid",
        attempts=0,
        attempted_at=now(),
        next_attempt_at=None,
        error_kind="",
        error="",
    ).where(
        AccountRow.directory_url == directory_url,
        (AccountRow.status != "valid") | (AccountRow.attempts > 0),
    ).execute()


def keep_failure(
    account: Account, kind: ErrorKind, text: str, next_attempt_at: datetime
) -> None:
    """Keep that the authority as a whole could not be used, and until when it is left alone."""
    change(
        account.directory_url,
        attempts=failed_again(account.attempts, account.error_kind, kind),
        attempted_at=now(),
        next_attempt_at=next_attempt_at,
        error_kind=kind.value,
        error=text[:MAX_TEXT],
    )
