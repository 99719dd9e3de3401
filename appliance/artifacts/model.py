"""What the ledger keeps of a build, and what the marketplace shows of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from appliance.core.chain import Break
from appliance.core.errors import InvalidError

#: The job that makes evidence of a run: ``{"run_id": 12}``.
ATTEST = "evidence.attest"


class RunStatus(StrEnum):
    """How a build ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TierClass(StrEnum):
    """How far an artifact can be relied on."""

    GOLD = "gold"
    SILVER = "silver"
    WATCHLIST = "watchlist"


@dataclass(frozen=True)
class ServerFacts:
    """What the ledger wants to know of a server."""

    owner_id: int
    server_type: str
    #: Of the organisation that it belongs to; ``None``: it is ``owner_id``'s own.
    org_id: int | None = None


@dataclass(frozen=True)
class ArtifactPlatform:
    """One architecture of an artifact."""

    #: As buildx has it: ``linux/arm64``.
    platform: str
    #: The engine's id of the image on this box; empty: not known.
    image_id: str
    #: ``host/namespace/name@sha256:…``; empty: not pushed.
    image_reference: str
    #: In the registry; ``None``: not pushed.
    digest: str | None
    auth_refresh_attempted: bool = False
    auth_refresh_succeeded: bool = False
    auth_rotation_attempted: bool = False
    auth_rotation_succeeded: bool = False
    #: ``healthy``, ``expiring``, ``expired``, ``missing`` or ``anonymous``; empty: nothing was pushed.
    credential_health_status: str = ""


@dataclass(frozen=True)
class RunRecord:
    """One attempt at a build that ended, as the ledger keeps it, without its place in the chain."""

    build_id: int
    attempt: int
    deployment_id: int
    server_id: int
    server_name: str
    server_type: str
    #: ``None``: the server was gone before its build ended.
    owner_id: int | None
    #: As ``sources.spec.as_dict`` writes it.
    source: dict[str, Any]
    source_kind: str
    #: Repository, package, image or address.
    source_repo: str
    source_branch: str
    #: Commit, version or digest that was built; empty: never known.
    source_revision: str
    local_image: str
    #: ``host/namespace/name``; empty: not pushed.
    registry_image: str
    manifest_tag: str
    manifest_digest: str | None
    is_multi_arch: bool
    #: Platforms that were wanted then.
    targets: tuple[str, ...]
    auth_refresh_attempted: bool
    auth_refresh_succeeded: bool
    auth_rotation_attempted: bool
    auth_rotation_succeeded: bool
    credential_health_status: str
    #: What this box's builder could not do, in words.
    shortcomings: tuple[str, ...]
    status: RunStatus
    #: Why it failed; empty otherwise.
    error: str
    started_at: datetime
    completed_at: datetime
    #: In the order of their names.
    platforms: tuple[ArtifactPlatform, ...]


@dataclass(frozen=True)
class Issue:
    """One thing that keeps an artifact from being relied on, or that is worth knowing."""

    #: Stable: ``build_failed``, ``architecture_missing``, …
    code: str
    message: str


@dataclass(frozen=True)
class Health:
    """What is wrong with an artifact."""

    #: ``healthy``, ``degraded`` or ``unhealthy``.
    status: str
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True)
class Rating:
    """What an artifact is worth."""

    tier_class: TierClass
    #: ``gold:npm``: class and server type.
    tier: str
    health: Health


@dataclass(frozen=True)
class Artifact:
    """A run in the ledger, with its place in the chain."""

    id: int
    prev_hash: str
    row_hash: str
    run: RunRecord
    rating: Rating


@dataclass(frozen=True)
class CatalogEntry:
    """A run as the marketplace lists it."""

    id: int
    run: RunRecord
    rating: Rating
    #: Whether the server is still hosted.
    is_hosted: bool = True


@dataclass(frozen=True)
class CatalogQuery:
    """Which entries of the marketplace."""

    #: Words, each of which must be found somewhere; in any case.
    text: str = ""
    server_type: str = ""
    status: RunStatus | None = None
    #: ``gold``, or with its server type ``gold:npm``; in any case.
    tier: str = ""

    def tier_parts(self) -> tuple[TierClass | None, str]:
        """Return class and server type that ``tier`` asks for.

        Raises:
            InvalidError: It begins with no class.
        """
        if not self.tier:
            return None, ""
        word, _, server_type = self.tier.lower().partition(":")
        try:
            return TierClass(word), server_type
        except ValueError:
            raise InvalidError.field(
                "tier",
                "begin with gold, silver or watchlist, such as gold or gold:npm",
            ) from None


@dataclass(frozen=True)
class Anchor:
    """A place in the chain that somebody wrote down: so many runs, and the hash of the last of them."""

    runs: int
    head_hash: str

    @classmethod
    def parse(cls, text: str) -> "Anchor":
        """Return what ``17:3fa4…`` means.

        Raises:
            InvalidError: It is no such thing; names ``known``.
        """
        number, _, digest = text.strip().lower().partition(":")
        if not (
            number.isascii()
            and number.isdigit()
            and len(number) < 19  # noqa: PLR2004 - digits that a bigint holds
            and len(digest) == 64  # noqa: PLR2004 - sha256 in hex
            and set(digest) <= set("0123456789abcdef")
        ):
            raise InvalidError.field(
                "known", "give the number of a run, a colon and its 64 hex digits"
            )
        return cls(int(number), digest)


@dataclass(frozen=True)
class ChainReport:
    """What comparing every run with its hash found."""

    #: How many runs there are.
    runs: int
    #: ``row_hash`` of the last of them.
    head_hash: str
    breaks: tuple[Break, ...]
    checked_at: datetime

    @property
    def is_intact(self) -> bool:
        """Whether all is as it was written."""
        return not self.breaks


@dataclass(frozen=True)
class ChainState:
    """The end of the chain, and what the last check found."""

    runs: int
    head_hash: str
    checked_at: datetime | None
    problem: str
