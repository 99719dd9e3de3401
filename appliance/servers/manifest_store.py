"""Manifests as rows: the one that holds, and what changed on the way to it. Every function runs inside ``database.run``."""

from collections.abc import Mapping
from typing import Any

from appliance.core.clock import now
from appliance.observability.events import publish_in_transaction
from appliance.servers.manifests import (
    Change,
    ManifestChange,
    changes,
    merged,
    storable,
    summary,
)
from appliance.servers.model import DeploymentState, Server
from appliance.servers.pinning import review
from appliance.servers.pinning.model import Reading
from appliance.servers.tables import DeploymentRow, ManifestChangeRow, ServerRow

#: Of each server; with whole definitions in them, older ones go.
KEEP = 50
#: Servers whose tools' names are looked for in another's words.
SERVERS_LOOKED_AT = 500


def keep(deployment_id: int, read: Mapping[str, Any]) -> None:
    """Write what a deployment says of itself now; what changed is noted, and told as an event.

    It is compared with what the deployment said last, a new one with what its server said last. An unchanged manifest is not
    written again, so that nobody is told of it.
    """
    row = DeploymentRow.get_by_id(deployment_id)
    before = row.manifest or _last_of(row.server_id, row.number)
    manifest = merged(before, storable(read))
    found = changes(before, manifest) if before else ()
    values: dict[str, Any] = {"manifest_at": now()}
    if manifest != row.manifest:
        values["manifest"] = manifest
    DeploymentRow.update(values).where(DeploymentRow.id == deployment_id).execute()
    if found:
        _note(row, found)
    review.compare(reading_of(row), manifest)


def reading_of(row: DeploymentRow) -> Reading:
    """Return whose manifest a deployment's is."""
    server = ServerRow.get_by_id(row.server_id)
    tools = server.config.get("tools")
    return Reading(
        server_id=row.server_id,
        deployment=row.number,
        image=row.image or "",
        requested_by=row.requested_by,
        allowed=None if tools is None else tuple(tools),
    )


def live_reading(server_id: int) -> tuple[Reading, dict[str, Any]] | None:
    """Return what a server's live deployment said last; ``None``: nothing is live."""
    row = DeploymentRow.get_or_none(
        DeploymentRow.server_id == server_id,
        DeploymentRow.state == DeploymentState.LIVE.value,
    )
    return (reading_of(row), dict(row.manifest or {})) if row else None


def tool_names(server: Server) -> dict[str, str]:
    """Return names of the tools of other live servers that belong to the same person or organisation, each with its server."""
    found: Any = DeploymentRow.raw(
        "SELECT s.name, jsonb_path_query_array(d.manifest, '$.tools[*].name') FROM deployments d"
        " JOIN servers s ON s.id = d.server_id WHERE d.state = 'live' AND d.manifest IS NOT NULL"
        " AND s.id <> %s AND s.org_id IS NOT DISTINCT FROM %s AND (s.org_id IS NOT NULL OR s.owner_id = %s) LIMIT %s",
        server.id, server.org_id, server.owner_id, SERVERS_LOOKED_AT,
    ).tuples()  # fmt: skip
    return {
        name: other for other, names in found for name in names if isinstance(name, str)
    }


def of_server(
    server_id: int, *, before: int | None = None, limit: int = 20
) -> list[ManifestChange]:
    """Return what changed, newest first; ``before`` (a change's id) is the cursor."""
    rows = (
        ManifestChangeRow.select(ManifestChangeRow, DeploymentRow.number)
        .join(
            DeploymentRow,
            on=DeploymentRow.id == ManifestChangeRow.deployment_id,
            attr="deployment",
        )
        .where(ManifestChangeRow.server_id == server_id)
        .order_by(ManifestChangeRow.id.desc())
        .limit(limit)
    )
    if before is not None:
        rows = rows.where(ManifestChangeRow.id < before)
    joined: Any = rows  # peewee's types do not know the attribute that a join adds
    return [
        ManifestChange(
            id=row.id,
            deployment=row.deployment.number,
            at=row.at,
            changes=tuple(Change.from_dict(item) for item in row.changes),
        )
        for row in joined
    ]


def _last_of(server_id: int, number: int) -> dict[str, Any] | None:
    row = (
        DeploymentRow.select(DeploymentRow.manifest)
        .where(
            DeploymentRow.server_id == server_id,
            DeploymentRow.number < number,
            DeploymentRow.manifest.is_null(is_null=False),
        )
        .order_by(DeploymentRow.number.desc())
        .first()
    )
    return dict(row.manifest) if row else None


def _note(row: DeploymentRow, found: tuple[Change, ...]) -> None:
    ManifestChangeRow.create(
        server_id=row.server_id,
        deployment_id=row.id,
        at=now(),
        changes=[change.as_dict() for change in found],
    )
    kept = (
        ManifestChangeRow.select(ManifestChangeRow.id)
        .where(ManifestChangeRow.server_id == row.server_id)
        .order_by(ManifestChangeRow.id.desc())
        .limit(KEEP)
    )
    ManifestChangeRow.delete().where(
        ManifestChangeRow.server_id == row.server_id,
        ManifestChangeRow.id.not_in(kept),
    ).execute()
    publish_in_transaction("server.manifest", row.server_id, summary(found))
