"""Queries about what was pushed and what happened since. Every function runs inside ``database.run``."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from appliance.core.clock import now
from appliance.core.images import Published
from appliance.observability.events import publish_in_transaction
from appliance.registry import telemetry
from appliance.registry.publications import Publication, RegistryEvent
from appliance.registry.tables import PublicationRow, RegistryEventRow

#: Kind of the live event that accompanies every row.
CHANGED = "registry.changed"


def add_event(
    event: str, host: str, details: Mapping[str, Any], *, server_id: int | None = None
) -> None:
    """Keep that something happened, and tell pages."""
    RegistryEventRow.create(
        at=now(),
        event=event,
        host=host,
        server_id=server_id,
        details=telemetry.details(**details),
    )
    publish_in_transaction(CHANGED, None, {"event": event})


def events(
    names: Collection[str], *, host: str | None = None, limit: int = 20
) -> list[RegistryEvent]:
    """Return what happened, newest first."""
    rows = RegistryEventRow.select().where(RegistryEventRow.event.in_(list(names)))
    if host is not None:
        rows = rows.where(RegistryEventRow.host == host)
    return [
        _event(row) for row in rows.order_by(RegistryEventRow.id.desc()).limit(limit)
    ]


def forget_events(before: datetime) -> int:
    """Remove what happened before a moment and return how many rows went."""
    old = RegistryEventRow.delete().where(RegistryEventRow.at < before)
    return int(old.execute())


def add_publication(server_id: int, deployment_id: int, published: Published) -> None:
    """Keep what was published; the same list again is the same row, as new as now."""
    values = {
        "server_id": server_id,
        "deployment_id": deployment_id,
        "tag": published.tag,
        "platforms": [
            {"platform": item.platform, "digest": item.digest}
            for item in published.platforms
        ],
        "published_at": now(),
        "pruned_at": None,
    }
    PublicationRow.insert(
        repository=published.repository, digest=published.digest, **values
    ).on_conflict(
        conflict_target=[PublicationRow.repository, PublicationRow.digest],
        update=values,
    ).execute()
    publish_in_transaction(CHANGED, server_id, {"event": "published"})


def publications(repository: str) -> list[Publication]:
    """Return what of a repository was published and not pruned, newest first."""
    rows = PublicationRow.select().where(
        PublicationRow.repository == repository,
        PublicationRow.pruned_at.is_null(),
    )
    ordered = rows.order_by(
        PublicationRow.published_at.desc(), PublicationRow.id.desc()
    )
    return [_publication(row) for row in ordered]


def newest_publications(limit: int) -> list[Publication]:
    """Return what was published last, of all repositories, newest first."""
    ordered = PublicationRow.select().order_by(PublicationRow.published_at.desc())
    return [_publication(row) for row in ordered.limit(limit)]


def repositories(server_id: int | None = None) -> list[tuple[int, str]]:
    """Return server and repository of everything that is published: of one server, or of all."""
    rows = PublicationRow.select(
        PublicationRow.server_id, PublicationRow.repository
    ).where(PublicationRow.pruned_at.is_null())
    if server_id is not None:
        rows = rows.where(PublicationRow.server_id == server_id)
    return sorted({(row.server_id, row.repository) for row in rows})


def set_pruned(repository: str, digests: Collection[str]) -> None:
    """Say that these lists are gone."""
    PublicationRow.update(pruned_at=now()).where(
        PublicationRow.repository == repository,
        PublicationRow.digest.in_(list(digests)),
    ).execute()


def _event(row: RegistryEventRow) -> RegistryEvent:
    return RegistryEvent(
        id=row.id,
        at=row.at,
        event=row.event,
        server_id=row.server_id,
        host=row.host,
        details=row.details,
    )


def _publication(row: PublicationRow) -> Publication:
    return Publication(
        server_id=row.server_id,
        deployment_id=row.deployment_id,
        repository=row.repository,
        tag=row.tag,
        digest=row.digest,
        platforms={item["platform"]: item["digest"] for item in row.platforms},
        published_at=row.published_at,
        pruned_at=row.pruned_at,
    )
