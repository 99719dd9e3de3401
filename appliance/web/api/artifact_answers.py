"""What the API tells of artifacts."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from appliance.artifacts.model import (
    Artifact,
    CatalogEntry,
    ChainReport,
    Rating,
    RunRecord,
    RunStatus,
)
from appliance.artifacts.wellknown import WellKnown
from appliance.promotions.service import Lineage
from appliance.web.api.answer import Answer
from appliance.web.api.promotion_bodies import LineageAnswer


class PlatformAnswer(Answer):
    """One architecture of an artifact."""

    platform: str = Field(examples=["linux/arm64"])
    image_id: str = Field(description="The engine's id on this box; empty: not known.")
    image_reference: str = Field(
        description="`host/namespace/name@sha256:…`; empty: not pushed."
    )
    digest: str | None = Field(description="In the registry; null: not pushed.")
    auth_refresh_attempted: bool
    auth_refresh_succeeded: bool
    auth_rotation_attempted: bool
    auth_rotation_succeeded: bool
    credential_health_status: str


class IssueAnswer(Answer):
    """One thing that is worth knowing of an artifact."""

    code: str = Field(description="Stable; match this, texts may change.")
    message: str


class HealthAnswer(Answer):
    """What is wrong with an artifact."""

    status: str = Field(description="`healthy`, `degraded` or `unhealthy`.")
    issues: list[IssueAnswer] = Field(description="What weighs most comes first.")


class ArtifactAnswer(Answer):
    """One run of the ledger."""

    id: int
    server_id: int
    server_name: str
    server_type: str
    status: RunStatus
    tier: str = Field(
        description="`gold`, `silver` or `watchlist`, and the server type."
    )
    health: HealthAnswer
    error: str = Field(description="Why it failed; empty otherwise.")
    source: dict[str, Any] = Field(description="As the server has it.")
    source_repo: str = Field(description="Repository, package, image or address.")
    source_branch: str
    source_revision: str = Field(
        description="Commit, version or digest that was built; empty: never known."
    )
    local_image: str
    registry_image: str = Field(description="Empty: not pushed.")
    manifest_tag: str
    manifest_digest: str | None = Field(description="null: not pushed.")
    is_multi_arch: bool
    architectures: list[str] = Field(description="What it was built for.")
    targets: list[str] = Field(description="What it should have been built for.")
    platforms: list[PlatformAnswer]
    auth_refresh_attempted: bool
    auth_refresh_succeeded: bool
    auth_rotation_attempted: bool
    auth_rotation_succeeded: bool
    credential_health_status: str = Field(
        description="`healthy`, `expiring`, `expired`, `missing` or `anonymous`; empty: nothing was pushed."
    )
    shortcomings: list[str] = Field(
        description="What this box's builder could not do, in words."
    )
    deployment_id: int
    build_id: int
    attempt: int
    started_at: datetime
    completed_at: datetime

    @classmethod
    def of(cls, run_id: int, run: RunRecord, rating: Rating, **more: Any) -> Self:
        """Return a run as it is answered; ``more`` are fields of a subclass."""
        values = {
            name: getattr(run, name)
            for name in ArtifactAnswer.model_fields
            if hasattr(run, name) and name != "platforms"
        }
        return cls(
            **values,
            **more,
            id=run_id,
            tier=rating.tier,
            health=HealthAnswer.model_validate(rating.health, from_attributes=True),
            architectures=[item.platform for item in run.platforms],
            platforms=[
                PlatformAnswer.model_validate(item, from_attributes=True)
                for item in run.platforms
            ],
        )


class CatalogAnswer(ArtifactAnswer):
    """A run as the marketplace lists it."""

    is_hosted: bool = Field(description="Whether its server is still hosted.")
    lineage: LineageAnswer

    @classmethod
    def of_entry(cls, entry: CatalogEntry, lineage: Lineage | None) -> Self:
        """Return ``entry`` as it is answered, with how far it came."""
        return cls.of(
            entry.id,
            entry.run,
            entry.rating,
            is_hosted=entry.is_hosted,
            lineage=LineageAnswer.of(lineage),
        )


class LedgerAnswer(ArtifactAnswer):
    """A run with its place in the chain."""

    prev_hash: str = Field(description="`row_hash` of the run before.")
    row_hash: str = Field(description="SHA-256 of this run and its platforms, hex.")
    lineage: LineageAnswer

    @classmethod
    def of_artifact(cls, item: Artifact, lineage: Lineage | None) -> Self:
        """Return ``item`` as it is answered, with how far it came."""
        return cls.of(
            item.id,
            item.run,
            item.rating,
            prev_hash=item.prev_hash,
            row_hash=item.row_hash,
            lineage=LineageAnswer.of(lineage),
        )


class MarketplacePage(Answer):
    """Some entries of the marketplace, the newest run first."""

    items: list[CatalogAnswer]
    next_cursor: str | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class ArtifactPage(Answer):
    """Some runs of the ledger, newest first."""

    items: list[LedgerAnswer]
    next_cursor: str | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class BreakAnswer(Answer):
    """A place where the ledger is not what was written."""

    run_id: int
    what: str = Field(description="`changed`, `missing`, `unlinked` or `unknown`.")
    message: str


class ChainAnswer(Answer):
    """What comparing every run with its hash found."""

    is_intact: bool
    runs: int
    head_hash: str = Field(description="`row_hash` of the last run.")
    known: str = Field(
        description="Number and hash of the last run; write it down, and send it as `known` later."
    )
    breaks: list[BreakAnswer] = Field(description="At most 20, the first ones.")
    checked_at: datetime

    @classmethod
    def of(cls, report: ChainReport) -> Self:
        """Return ``report`` as it is answered."""
        return cls(
            is_intact=report.is_intact,
            runs=report.runs,
            head_hash=report.head_hash,
            known=f"{report.runs}:{report.head_hash}",
            breaks=[
                BreakAnswer(run_id=item.seq, what=item.what, message=item.message)
                for item in report.breaks
            ],
            checked_at=report.checked_at,
        )


class SettingAnswer(Answer):
    """A variable that a server reads."""

    name: str
    description: str
    is_required: bool
    example: str


class WellKnownAnswer(Answer):
    """A published server that can be hosted as it is."""

    name: str
    title: str
    description: str
    package: str = Field(description="Empty where `image` is not.")
    image: str
    arguments: list[str]
    session_mode: str = Field(
        description="As a server's configuration takes it: `per-session` where what it offers depends on the client."
    )
    settings: list[SettingAnswer]

    @classmethod
    def of(cls, item: WellKnown) -> Self:
        """Return ``item`` as it is answered."""
        return cls.model_validate(item, from_attributes=True)


class WellKnownList(Answer):
    """Servers to begin with."""

    items: list[WellKnownAnswer]
