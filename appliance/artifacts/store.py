"""The ledger's rows; every function runs inside ``database.run``."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import msgspec

from appliance.accounts import sights
from appliance.accounts.access import Sight
from appliance.artifacts import chain
from appliance.artifacts.identity import digest_of_run
from appliance.artifacts.model import (
    Artifact,
    ArtifactPlatform,
    ChainState,
    RunRecord,
    RunStatus,
)
from appliance.artifacts.records import search_text
from appliance.artifacts.tables import CatalogRow, ChainRow, PlatformRow, RunRow
from appliance.artifacts.tiers import rate
from appliance.core.chain import Link
from appliance.infra.database import proxy
from appliance.infra.questions import Question, ask

#: What a row's fields are called in the model, too.
_OWN = tuple(name for name in RunRecord.__dataclass_fields__ if name != "platforms")


def append(run: RunRecord) -> tuple[Artifact, bool]:
    """Write ``run`` at the end of the chain; if its attempt is there already, leave that row as it is.

    Whoever appends holds the end of the chain until the transaction ends, so builds that end together queue here.

    Returns:
        The row, and whether it is new.
    """
    head = ChainRow.select().for_update().get()
    known = RunRow.get_or_none(
        RunRow.build_id == run.build_id, RunRow.attempt == run.attempt
    )
    if known is not None:
        return _artifacts([known])[0], False
    run_id, prev_hash = head.runs + 1, head.head_hash
    own_hash = chain.row_hash(run_id, prev_hash, run)
    values = {name: getattr(run, name) for name in _OWN}
    values |= {
        "targets": list(run.targets),
        "shortcomings": list(run.shortcomings),
        "status": run.status.value,
    }
    RunRow.insert(id=run_id, prev_hash=prev_hash, row_hash=own_hash, **values).execute()
    if run.platforms:
        PlatformRow.insert_many(
            [{"run_id": run_id, **asdict(item)} for item in run.platforms]
        ).execute()
    ChainRow.update(runs=run_id, head_hash=own_hash).execute()
    return Artifact(run_id, prev_hash, own_hash, run, rate(run)), True


def show(artifact: Artifact, org_id: int | None) -> None:
    """Put a run that was just appended into the catalog: in place of all of its server's if it succeeded.

    Args:
        artifact: The run.
        org_id: Of the organisation that its server belongs to.
    """
    run = artifact.run
    is_succeeded = run.status is RunStatus.SUCCEEDED
    mine = CatalogRow.server_id == run.server_id
    CatalogRow.delete().where(
        mine if is_succeeded else mine & ~CatalogRow.is_succeeded
    ).execute()
    CatalogRow.insert(**catalog_values(artifact), org_id=org_id).execute()


def catalog_values(artifact: Artifact) -> dict[str, Any]:
    """Return the columns of a run's row in the catalog."""
    run, rating = artifact.run, artifact.rating
    return {
        "server_id": run.server_id,
        "is_succeeded": run.status is RunStatus.SUCCEEDED,
        "run_id": artifact.id,
        "owner_id": run.owner_id,
        "server_type": run.server_type.lower(),
        "status": run.status.value,
        "tier_class": rating.tier_class.value,
        "search": search_text(run),
        "entry": msgspec.json.encode({"run": run, "rating": rating}).decode(),
    }


def rebuild() -> int:
    """Make the catalog anew from the ledger, by the rules of today; return how many rows it has.

    To whom a server belongs stays: the ledger only knows to whom it belonged when it was built.
    """
    belongs: Any = CatalogRow.select(
        CatalogRow.server_id, CatalogRow.owner_id, CatalogRow.org_id
    )
    owners = {row.server_id: (row.owner_id, row.org_id) for row in belongs}
    CatalogRow.delete().execute()
    newest = proxy.execute_sql(
        "SELECT DISTINCT ON (server_id, status = 'succeeded') id, server_id, status = 'succeeded'"
        " FROM build_artifact_runs ORDER BY server_id, status = 'succeeded', id DESC"
    ).fetchall()
    good = {server_id: run_id for run_id, server_id, is_good in newest if is_good}
    ids = [
        run_id
        for run_id, server_id, is_good in newest
        if is_good or run_id > good.get(server_id, 0)
    ]
    for start in range(0, len(ids), 500):
        rows = RunRow.select().where(RunRow.id.in_(ids[start : start + 500]))
        CatalogRow.insert_many(
            [catalog_values(item) for item in _artifacts(list(rows))]
        ).execute()
    for server_id, (owner_id, org_id) in owners.items():
        give(server_id, owner_id=owner_id, org_id=org_id)
    return len(ids)


def give(server_id: int, *, owner_id: int | None, org_id: int | None) -> None:
    """Note to whom a server belongs from now on, and with it all that was built for it."""
    CatalogRow.update(owner_id=owner_id, org_id=org_id).where(
        CatalogRow.server_id == server_id
    ).execute()


def belongs_to(server_id: int, builder_id: int | None) -> tuple[int | None, int | None]:
    """Return the person and the organisation that a server's runs belong to.

    Args:
        server_id: Which server, be it gone.
        builder_id: Whose it was when it was built, for runs that the catalog does not know.
    """
    row = CatalogRow.get_or_none(CatalogRow.server_id == server_id)
    return (row.owner_id, row.org_id) if row else (builder_id, None)


def get(run_id: int) -> Artifact | None:
    """Return one run, if there is such a one."""
    row = RunRow.get_or_none(RunRow.id == run_id)
    return _artifacts([row])[0] if row else None


# Asked before every launch: peewee takes longer to write such a question than Postgres to answer it.
_MADE_FOR = """
SELECT r.id, r.prev_hash, r.row_hash, to_jsonb(r) || jsonb_build_object('platforms', (
    SELECT coalesce(jsonb_agg(p ORDER BY p.platform), '[]') FROM build_artifact_platforms p WHERE p.run_id = r.id)) AS run
FROM build_artifact_runs r
WHERE r.server_id = %s AND r.deployment_id = %s AND r.status = 'succeeded' ORDER BY r.id DESC LIMIT 1
"""


@dataclass(frozen=True)
class Made:
    """A run as it is read together with other answers."""

    id: int
    prev_hash: str
    row_hash: str
    run: RunRecord

    def artifact(self) -> Artifact:
        """Return it with what it is worth. Pure."""
        return Artifact(
            self.id, self.prev_hash, self.row_hash, self.run, rate(self.run)
        )


def question_made_for(server_id: int, deployment_id: int | None) -> Question[Made]:
    """Ask for the newest run that made a deployment's image; there may be none."""
    return Question(_MADE_FOR, (server_id, deployment_id), Made)


def made_for(server_id: int, deployment_id: int) -> Artifact | None:
    """Return the newest run that made a deployment's image, if there is one."""
    (found,) = ask(question_made_for(server_id, deployment_id))
    return found[0].artifact() if found else None


def with_digest(digest: str, limit: int = 20) -> list[Artifact]:
    """Return up to ``limit`` runs that are known by this digest, newest first: pushed under it, or images of this id."""
    local = PlatformRow.select(PlatformRow.run_id).where(PlatformRow.image_id == digest)
    rows = (
        RunRow.select()
        .where((RunRow.manifest_digest == digest) | RunRow.id.in_(local))
        .order_by(RunRow.id.desc())
        .limit(limit)
    )
    return [
        item for item in _artifacts(list(rows)) if digest_of_run(item.run) == digest
    ]


def of_server(
    server_id: int | None, sight: Sight, before: int | None, limit: int
) -> list[Artifact]:
    """Return up to ``limit`` runs, newest first.

    Args:
        server_id: Only this server's; ``None``: all.
        sight: Only what this shows.
        before: Only runs before this one.
    """
    rows = RunRow.select().order_by(RunRow.id.desc()).limit(limit)
    if server_id is not None:
        rows = rows.where(RunRow.server_id == server_id)
    if not sight.everything or sight.servers is not None:
        theirs = sights.shown(
            CatalogRow.select(CatalogRow.server_id),
            sight,
            owner=CatalogRow.owner_id,
            org=CatalogRow.org_id,
            server=CatalogRow.server_id,
        )
        rows = rows.where(RunRow.server_id.in_(theirs))
    if before is not None:
        rows = rows.where(RunRow.id < before)
    return _artifacts(list(rows))


def offered_digests(server_id: int) -> frozenset[str]:
    """Return the digests of what the marketplace offers of a server."""
    rows = (
        RunRow.select(RunRow.manifest_digest)
        .join(CatalogRow, on=(CatalogRow.run_id == RunRow.id))
        .where(CatalogRow.server_id == server_id)
    )
    return frozenset(row.manifest_digest for row in rows if row.manifest_digest)


def state() -> ChainState:
    """Return the end of the chain, and what the last check found."""
    row = ChainRow.get()
    return ChainState(row.runs, row.head_hash, row.checked_at, row.problem)


def note_check(at: datetime, problem: str) -> None:
    """Keep what a check found."""
    ChainRow.update(checked_at=at, problem=problem).execute()


def links(after: int, up_to: int, limit: int) -> list[Link]:
    """Return the next rows of the chain with what their hashes should be."""
    rows = (
        RunRow.select()
        .where(RunRow.id > after, RunRow.id <= up_to)
        .order_by(RunRow.id)
        .limit(limit)
    )
    return [chain.link_of(item) for item in _artifacts(list(rows))]


def _artifacts(rows: Sequence[RunRow]) -> list[Artifact]:
    """Return the rows with their platforms: one query more, however many there are."""
    platforms: dict[int, list[ArtifactPlatform]] = {}
    found: Any = (
        PlatformRow.select()
        .where(PlatformRow.run_id.in_([row.id for row in rows]))
        .order_by(PlatformRow.run_id, PlatformRow.platform)
        .dicts()
    )
    for item in found if rows else ():
        run_id = item.pop("run_id")
        platforms.setdefault(run_id, []).append(ArtifactPlatform(**item))
    return [_artifact(row, tuple(platforms.get(row.id, ()))) for row in rows]


def _artifact(row: RunRow, platforms: tuple[ArtifactPlatform, ...]) -> Artifact:
    values = {name: getattr(row, name) for name in _OWN}
    values |= {
        "targets": tuple(row.targets),
        "shortcomings": tuple(row.shortcomings),
        "status": RunStatus(row.status),
    }
    run = RunRecord(**values, platforms=platforms)
    return Artifact(row.id, row.prev_hash, row.row_hash, run, rate(run))
