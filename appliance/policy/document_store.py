"""The policy's versions as rows. Every function runs inside ``database.run``."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from peewee import fn

from appliance.infra.database import proxy
from appliance.infra.questions import Question, ask
from appliance.policy.document import EMPTY, Policy, parse
from appliance.policy.errors import NoDocumentError
from appliance.policy.model import Document
from appliance.policy.tables import DocumentRow

_MARKED = """
SELECT now() AS at, version, created_at FROM (VALUES (1)) one (row) LEFT JOIN policy_documents ON is_active
"""


@dataclass(frozen=True)
class Active:
    """What counts at a moment."""

    #: By Postgres' clock, the same for the whole transaction.
    at: datetime
    #: ``None``: no document is active.
    version: int | None
    policy: Policy


@dataclass(frozen=True)
class Marked:
    """Which document counts, without what it says: that may be long, and was most likely read before."""

    #: By Postgres' clock.
    at: datetime
    #: ``None``: no document is active.
    version: int | None
    created_at: datetime | None

    def active(self) -> Active:
        """Return it with what it says. Runs inside ``database.run``."""
        if self.version is None or self.created_at is None:
            return Active(self.at, None, EMPTY)
        return Active(self.at, self.version, _read(self.version, self.created_at))


def question_marked() -> Question[Marked]:
    """Ask which document counts, and for the transaction's moment; there is always one row."""
    return Question(_MARKED, (), Marked)


def active() -> Active:
    """Return the active document and the transaction's moment."""
    ((marked,),) = ask(question_marked())
    return cast(Marked, marked).active()


@lru_cache(maxsize=8)
def _read(version: int, created_at: datetime) -> Policy:  # noqa: ARG001 - another database's version is another
    # What a version says is never changed.
    return policy_of(version)


def active_version() -> int | None:
    """Return the active document's version; ``None``: none is active."""
    row = DocumentRow.get_or_none(DocumentRow.is_active)
    return row.version if row else None


def get(version: int) -> Document:
    """Return one version.

    Raises:
        NoDocumentError: There is none of this number.
    """
    row = DocumentRow.get_or_none(DocumentRow.version == version)
    if row is None:
        raise NoDocumentError(f"There is no version {version} of the policy.")
    return _document(row)


def policy_of(version: int | None) -> Policy:
    """Return what a version says; ``None``: nothing."""
    return EMPTY if version is None else parse(get(version).body)


def page(*, before: int | None = None, limit: int = 50) -> list[Document]:
    """Return versions, newest first; ``before`` (a version) is the cursor."""
    rows = DocumentRow.select().order_by(DocumentRow.version.desc()).limit(limit)
    if before is not None:
        rows = rows.where(DocumentRow.version < before)
    return [_document(row) for row in rows]


def add(body: dict[str, Any], *, note: str, by: str) -> Document:
    """Store the next version; it is not active."""
    alone()
    version = (DocumentRow.select(fn.MAX(DocumentRow.version)).scalar() or 0) + 1
    DocumentRow.insert(
        version=version,
        body=body,
        is_active=False,
        note=note,
        created_by=by,
        created_at=fn.now(),
        activated_by="",
    ).execute()
    return get(version)


def activate(version: int | None, *, by: str) -> None:
    """Make a version the active one; ``None``: none is.

    Raises:
        NoDocumentError: There is none of this number.
    """
    alone()
    DocumentRow.update(is_active=False).where(DocumentRow.is_active).execute()
    if version is None:
        return
    get(version)
    DocumentRow.update(is_active=True, activated_by=by, activated_at=fn.now()).where(
        DocumentRow.version == version
    ).execute()


def alone() -> None:
    """Wait for whoever else writes versions; those who read them wait for nobody."""
    proxy.execute_sql("LOCK TABLE policy_documents IN SHARE ROW EXCLUSIVE MODE")


def _document(row: DocumentRow) -> Document:
    return Document(
        version=row.version,
        body=row.body,
        is_active=row.is_active,
        created_by=row.created_by,
        created_at=row.created_at,
        note=row.note,
        activated_at=row.activated_at,
        activated_by=row.activated_by,
    )
