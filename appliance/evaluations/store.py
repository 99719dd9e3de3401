"""Certifications as rows; every function runs inside ``database.run``. Moments are those of Postgres."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import EXCLUDED, fn

from appliance.evaluations.certifications import next_change
from appliance.evaluations.errors import (
    CertificationChangedError,
    CertificationNotFoundError,
)
from appliance.evaluations.model import (
    About,
    Certification,
    EvidenceFile,
    Finding,
    Origin,
    Status,
)
from appliance.evaluations.tables import CertificationRow, FileRow
from appliance.infra.database import proxy
from appliance.infra.questions import Question

_ABOUT = tuple(About.__dataclass_fields__)
_KEY = ("artifact_run_id", "server_id", "manifest_digest", "tier", "policy_requirement")


def moment() -> datetime:
    """Return the moment at which the transaction began."""
    (found,) = proxy.execute_sql("SELECT now()").fetchone()
    at: datetime = found
    return at


def latest_for(
    digest: str,
    tier: str,
    requirements: Collection[str],
    *,
    owner_id: int | None,
    org_id: int | None,
) -> Mapping[str, Certification]:
    """Return the latest certification of each requirement, without those that have none; files are left out.

    Args:
        digest: Of what is to run.
        tier: In lower case.
        requirements: Which.
        owner_id: Whose server is to run it: what others say of their servers with the same digest does not count.
        org_id: Of the organisation that it belongs to; then ``owner_id`` says nothing.
    """
    if not requirements:
        return {}
    mine = (
        CertificationRow.org_id == org_id
        if org_id is not None
        else CertificationRow.org_id.is_null() & (CertificationRow.owner_id == owner_id)
    )
    rows = (
        CertificationRow.select()
        .where(
            CertificationRow.manifest_digest == digest,
            CertificationRow.tier == tier,
            CertificationRow.policy_requirement.in_(list(requirements)),
            mine,
        )
        .distinct([CertificationRow.policy_requirement])
        .order_by(
            CertificationRow.policy_requirement,
            CertificationRow.updated_at.desc(),
            CertificationRow.id.desc(),
        )
    )
    return {row.policy_requirement: _certification(row) for row in rows}


# Asked before launches: peewee takes longer to write such a question than Postgres to answer it.
_FINDINGS = """
SELECT DISTINCT ON (policy_requirement) policy_requirement, id, status, valid_from, valid_until
FROM evaluation_certifications
WHERE manifest_digest = %s AND tier = %s AND policy_requirement = ANY(%s)
  AND CASE WHEN org_id IS NULL THEN %s::bigint IS NULL AND owner_id = %s ELSE org_id = %s END
ORDER BY policy_requirement, updated_at DESC, id DESC
"""


@dataclass(frozen=True)
class Known:
    """What a decision is made of: a finding without its evidence."""

    policy_requirement: str
    id: int
    status: Status
    valid_from: datetime | None
    valid_until: datetime | None

    def finding(self) -> Finding:
        """Return what was found. Pure."""
        return Finding(
            self.status, valid_from=self.valid_from, valid_until=self.valid_until
        )


def question_known(
    digest: str,
    tier: str,
    requirements: Collection[str],
    *,
    owner_id: int | None,
    org_id: int | None,
) -> Question[Known]:
    """Ask for what ``latest_for`` returns, without the evidence: one row for each requirement of which something is known."""
    names = list(requirements)
    return Question(_FINDINGS, (digest, tier, names, org_id, owner_id, org_id), Known)


def get(certification_id: int, *, lock: bool = False) -> Certification:
    """Return one certification with its files.

    Raises:
        CertificationNotFoundError: There is none of this id.
    """
    query = CertificationRow.select().where(CertificationRow.id == certification_id)
    row = (query.for_update() if lock else query).get_or_none()
    if row is None:
        raise CertificationNotFoundError(
            f"There is no certification {certification_id}."
        )
    return _with_files([row])[0]


def of_run(artifact_run_id: int) -> list[Certification]:
    """Return all that is certified of a run of the ledger, the newest change first."""
    return _listed(CertificationRow.artifact_run_id == artifact_run_id)


def of_server(server_id: int, limit: int = 200) -> list[Certification]:
    """Return what is certified of a server's versions, the newest change first."""
    return _listed(CertificationRow.server_id == server_id, limit)


def of_digest(server_id: int, digest: str) -> list[Certification]:
    """Return what is certified of one version of a server, the newest change first."""
    return _listed(
        (CertificationRow.server_id == server_id)
        & (CertificationRow.manifest_digest == digest)
    )


def find(about: About) -> Certification | None:
    """Return what is known of the very same thing, and hold its row until the transaction ends."""
    conditions = [
        column.is_null() if value is None else column == value
        for name in _KEY
        for column, value in [(getattr(CertificationRow, name), getattr(about, name))]
    ]
    row = CertificationRow.select().where(*conditions).for_update().get_or_none()
    return _with_files([row])[0] if row else None


def put(
    about: About,
    finding: Finding,
    certified_by: str,
    *,
    expected_version: int | None = None,
) -> tuple[Certification | None, Certification]:
    """Write what was found, in place of what was known of the same thing; return both.

    Args:
        about: What it speaks of.
        finding: What was found.
        certified_by: By whom.
        expected_version: What the writer saw; 0: nothing. ``None``: whatever is there.

    Raises:
        CertificationChangedError: There is another version than was expected.
    """
    before = find(about)
    _compare(before, expected_version)
    at = moment()
    values = {name: getattr(about, name) for name in _ABOUT} | _columns(finding, at)
    insert = CertificationRow.insert(
        **values, certified_by=certified_by, version=1, created_at=at, updated_at=at
    )
    kept = {"version": CertificationRow.version + 1} | {
        getattr(CertificationRow, name): getattr(EXCLUDED, name)
        for name in [*values, "certified_by", "updated_at"]
        if name not in _KEY
    }
    target = [getattr(CertificationRow, name) for name in _KEY]
    (row,) = insert.on_conflict(conflict_target=target, update=kept).returning(
        CertificationRow.id
    )
    return before, get(row.id)


def _compare(found: Certification | None, expected: int | None) -> None:
    there = found.version if found else 0
    if expected is not None and expected != there:
        what = (
            f"it is {found.finding.status.value} by {found.certified_by}"
            if found
            else "there is none any more"
        )
        raise CertificationChangedError(
            f"The certification changed meanwhile: {what} (version {there}).",
            hint="Look at it again, and send its version.",
        )


def next_due(limit: int) -> list[Certification]:
    """Return certifications that somebody has to look at now, and hold their rows; those that others hold are left out."""
    rows = (
        CertificationRow.select()
        .where(CertificationRow.due_at <= fn.now())
        .order_by(CertificationRow.due_at)
        .limit(limit)
        .for_update(skip_locked=True)
    )
    return [_certification(row) for row in rows]


def looked_at(certification: Certification, at: datetime) -> None:
    """Note when to look at it next."""
    CertificationRow.update(due_at=next_change(certification.finding, at)).where(
        CertificationRow.id == certification.id
    ).execute()


def give(server_id: int, *, owner_id: int | None, org_id: int | None) -> None:
    """Note to whom a server belongs from now on, and with it what is certified of its versions."""
    CertificationRow.update(owner_id=owner_id, org_id=org_id).where(
        CertificationRow.server_id == server_id
    ).execute()


# -- files


def add_file(
    certification_id: int, *, name: str, digest: str, size_bytes: int, added_by: str
) -> EvidenceFile:
    """Put a file beside a certification."""
    row = FileRow.create(
        certification_id=certification_id,
        name=name,
        digest=digest,
        size_bytes=size_bytes,
        added_by=added_by,
        created_at=moment(),
    )
    return _file(row)


def digests_in_use() -> set[str]:
    """Return the digests of all files."""
    return {row.digest for row in FileRow.select(FileRow.digest).distinct()}


# -- rows


def _columns(finding: Finding, at: datetime) -> dict[str, Any]:
    return {
        "status": finding.status.value,
        "evidence": dict(finding.evidence),
        "note": finding.note,
        "valid_from": finding.valid_from,
        "valid_until": finding.valid_until,
        "warn_days": finding.warn_days,
        "origin": finding.origin.value,
        "evaluation_run_id": finding.evaluation_run_id,
        "due_at": next_change(finding, at),
    }


def _listed(condition: Any, limit: int = 500) -> list[Certification]:
    rows = (
        CertificationRow.select()
        .where(condition)
        .order_by(CertificationRow.updated_at.desc(), CertificationRow.id.desc())
        .limit(limit)
    )
    return _with_files(list(rows))


def _with_files(rows: list[CertificationRow]) -> list[Certification]:
    """Return the rows with their files: one query more, however many there are."""
    files: dict[int, list[EvidenceFile]] = {}
    ids = [row.id for row in rows]
    for item in (
        FileRow.select().where(FileRow.certification_id.in_(ids)).order_by(FileRow.id)
        if ids
        else ()
    ):
        files.setdefault(item.certification_id, []).append(_file(item))
    return [_certification(row, tuple(files.get(row.id, ()))) for row in rows]


def _certification(
    row: CertificationRow, files: tuple[EvidenceFile, ...] = ()
) -> Certification:
    return Certification(
        id=row.id,
        about=About(**{name: getattr(row, name) for name in _ABOUT}),
        finding=Finding(
            status=Status(row.status),
            evidence=row.evidence,
            note=row.note,
            valid_from=row.valid_from,
            valid_until=row.valid_until,
            warn_days=row.warn_days,
            origin=Origin(row.origin),
            evaluation_run_id=row.evaluation_run_id,
        ),
        certified_by=row.certified_by,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        files=files,
    )


def _file(row: FileRow) -> EvidenceFile:
    return EvidenceFile(
        id=row.id,
        certification_id=row.certification_id,
        name=row.name,
        digest=row.digest,
        size_bytes=row.size_bytes,
        added_by=row.added_by,
        created_at=row.created_at,
    )
