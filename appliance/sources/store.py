"""Queries about uploads and credentials. Every function runs inside ``database.run``."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from peewee import fn

from appliance.core.clock import now
from appliance.sources.credentials import Credential, CredentialKind, CredentialView
from appliance.sources.tables import SourceCredentialRow, UploadRow


def add_upload(*, digest: str, owner_id: int, filename: str, size_bytes: int) -> None:
    """Remember who brought a file; brought again, it has the newer name and age."""
    values = {"filename": filename, "size_bytes": size_bytes, "created_at": now()}
    UploadRow.insert(digest=digest, owner_id=owner_id, **values).on_conflict(
        conflict_target=(UploadRow.owner_id, UploadRow.digest), update=values
    ).execute()


def has_upload(owner_id: int, digest: str) -> bool:
    """Tell whether somebody brought this file."""
    query = UploadRow.select().where(
        UploadRow.owner_id == owner_id, UploadRow.digest == digest
    )
    return bool(query.exists())


def uploaded_bytes(owner_id: int) -> int:
    """Return how much somebody brought, all in all."""
    return int(
        UploadRow.select(fn.COALESCE(fn.SUM(UploadRow.size_bytes), 0))
        .where(UploadRow.owner_id == owner_id)
        .scalar()
    )


def uploaded_by_everybody() -> dict[int, int]:
    """Return how much each person brought, all in all."""
    rows: Any = (
        UploadRow.select(UploadRow.owner_id, fn.SUM(UploadRow.size_bytes))
        .group_by(UploadRow.owner_id)
        .tuples()
    )
    return {owner_id: int(size) for owner_id, size in rows}


def forget_uploads(*, before: datetime, kept: Collection[str]) -> set[str]:
    """Forget files brought before then, except ``kept``; return the digests that are still known."""
    gone = UploadRow.delete().where(UploadRow.created_at < before)
    if kept:
        gone = gone.where(UploadRow.digest.not_in(list(kept)))
    gone.execute()
    return {row.digest for row in UploadRow.select(UploadRow.digest).distinct()}


def put_credential(server_id: int, credential: Credential, sealed: bytes) -> None:
    """Set a server's credential; host keys that were seen under the one before are forgotten."""
    values = {
        "kind": credential.kind.value,
        "hint": credential.hint,
        "sealed": sealed,
        "known_hosts": "",
        "updated_at": now(),
    }
    SourceCredentialRow.insert(server_id=server_id, **values).on_conflict(
        conflict_target=(SourceCredentialRow.server_id,), update=values
    ).execute()


def remove_credential(server_id: int) -> bool:
    """Forget a server's credential; return whether there was one."""
    gone = SourceCredentialRow.delete().where(
        SourceCredentialRow.server_id == server_id
    )
    return bool(gone.execute())


def credential(server_id: int) -> CredentialView | None:
    """Return what may be shown of a server's credential."""
    row = SourceCredentialRow.get_or_none(SourceCredentialRow.server_id == server_id)
    if row is None:
        return None
    return CredentialView(
        kind=CredentialKind(row.kind),
        hint=row.hint,
        has_host_keys=bool(row.known_hosts),
        updated_at=row.updated_at,
    )


def sealed_credential(server_id: int) -> tuple[CredentialKind, bytes, str] | None:
    """Return kind, sealed value and known hosts."""
    row = SourceCredentialRow.get_or_none(SourceCredentialRow.server_id == server_id)
    if row is None:
        return None
    return CredentialKind(row.kind), bytes(row.sealed), row.known_hosts


def set_known_hosts(server_id: int, known_hosts: str) -> None:
    """Pin the host keys that the first fetch saw; what is pinned already stays."""
    SourceCredentialRow.update(known_hosts=known_hosts).where(
        SourceCredentialRow.server_id == server_id,
        SourceCredentialRow.known_hosts == "",
    ).execute()
