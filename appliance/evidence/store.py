"""Queries about evidence; every function runs inside ``database.run``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.core.clock import now
from appliance.core.digests import digest_of
from appliance.evidence.model import (
    Document,
    EvidenceView,
    Kind,
    NewDocument,
    PublicKey,
    Referrer,
    State,
    Subject,
)
from appliance.evidence.tables import DocumentRow, KeyRow, RunStateRow
from appliance.infra.questions import Question
from appliance.observability.events import publish_in_transaction

# -- keys


def signing_key() -> tuple[PublicKey, bytes] | None:
    """Return the key that signs, with its sealed private part."""
    row = KeyRow.get_or_none(KeyRow.retired_at.is_null())
    return (_key(row), bytes(row.sealed or b"")) if row else None


def add_key(key_id: str, pem: str, sealed: bytes) -> None:
    """Add the key that signs; where another hub was quicker, its key stays."""
    KeyRow.insert(
        id=key_id, pem=pem, sealed=sealed, created_at=now()
    ).on_conflict_ignore().execute()


def retire_key() -> None:
    """Let the key that signs sign no more, and forget its private part; what it signed stays good."""
    KeyRow.update(retired_at=now(), sealed=None).where(
        KeyRow.retired_at.is_null()
    ).execute()


def keys() -> list[PublicKey]:
    """Return all keys, the newest first."""
    return [_key(row) for row in KeyRow.select().order_by(KeyRow.created_at.desc())]


def _key(row: KeyRow) -> PublicKey:
    return PublicKey(row.id, row.pem, row.created_at, row.retired_at)


# -- documents


def documents(run_id: int) -> tuple[Document, ...]:
    """Return what is kept of a run, without the bundles."""
    fields = (
        DocumentRow.id, DocumentRow.run_id, DocumentRow.kind, DocumentRow.platform,
        DocumentRow.predicate_type, DocumentRow.subjects, DocumentRow.digest, DocumentRow.size_bytes,
        DocumentRow.key_id, DocumentRow.made_by, DocumentRow.created_at,
    )  # fmt: skip
    rows = (
        DocumentRow.select(*fields)
        .where(DocumentRow.run_id == run_id)
        .order_by(DocumentRow.kind, DocumentRow.platform)
    )
    return tuple(_document(row) for row in rows)


@dataclass(frozen=True)
class Made:
    """That there are documents of a kind."""

    kind: str


def question_kinds_of(run_id: int) -> Question[Made]:
    """Ask for the kinds of documents that there are of a run, in order."""
    sql = "SELECT DISTINCT kind FROM evidence_documents WHERE run_id = %s ORDER BY kind"
    return Question(sql, (run_id,), Made)


def add_document(run_id: int, new: NewDocument) -> None:
    """Store a document; one that is there already stays."""
    DocumentRow.insert(
        run_id=run_id,
        kind=new.kind.value,
        platform=new.platform,
        predicate_type=new.predicate_type,
        subjects=[
            {"name": item.name, "digest": item.digest, "is_local": item.is_local}
            for item in new.subjects
        ],
        bundle=new.bundle,
        digest=digest_of(new.bundle),
        size_bytes=len(new.bundle),
        key_id=new.key_id,
        made_by=new.made_by,
        created_at=now(),
    ).on_conflict_ignore().execute()


def bundle(document_id: int) -> bytes:
    """Return a document's bundle, byte for byte."""
    row = DocumentRow.select(DocumentRow.bundle).where(DocumentRow.id == document_id)
    return bytes(row.get().bundle)


def _document(row: DocumentRow) -> Document:
    return Document(
        id=row.id,
        run_id=row.run_id,
        kind=Kind(row.kind),
        platform=row.platform,
        predicate_type=row.predicate_type,
        subjects=tuple(Subject(**item) for item in row.subjects),
        digest=row.digest,
        size_bytes=row.size_bytes,
        key_id=row.key_id,
        made_by=row.made_by,
        created_at=row.created_at,
    )


# -- states


def set_state(
    run_id: int,
    server_id: int,
    state: State,
    *,
    error: str = "",
    referrers: Sequence[Referrer] = (),
) -> None:
    """Write how far a run's evidence is, and tell whoever looks at it."""
    values: dict[str, Any] = {
        "state": state.value,
        "error": error,
        "referrers": [item.as_json() for item in referrers],
        "updated_at": now(),
    }
    RunStateRow.insert(run_id=run_id, **values).on_conflict(
        conflict_target=[RunStateRow.run_id], update=values
    ).execute()
    publish_in_transaction(
        "evidence.state", server_id, {"artifact_id": run_id, "state": state.value}
    )


def view(run_id: int) -> EvidenceView:
    """Return a run's evidence; a run that nobody has looked at yet is pending."""
    row = RunStateRow.get_or_none(RunStateRow.run_id == run_id)
    found = documents(run_id)
    if row is None:
        return EvidenceView(run_id, State.PENDING, "", found, (), None)
    updated_at: datetime = row.updated_at
    return EvidenceView(
        run_id=run_id,
        state=State(row.state),
        error=row.error,
        documents=found,
        referrers=tuple(_referrer(item) for item in row.referrers),
        updated_at=updated_at,
    )


def _referrer(item: dict[str, str]) -> Referrer:
    return Referrer(
        subject=item["subject"],
        digest=item["digest"],
        kind=Kind(item["kind"]),
        platform=item["platform"],
        listed_by=item["listed_by"],
    )
