"""What is said of an image, for whom, and where it is kept."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from appliance.core.images import PlatformImage, Published
from appliance.sources.model import Source


class Kind(StrEnum):
    """What a document says."""

    SBOM = "sbom"
    PROVENANCE = "provenance"


class State(StrEnum):
    """How far the evidence of a run is."""

    #: It is still to be made.
    PENDING = "pending"
    #: It is made and kept here; the run's images were not pushed.
    LOCAL = "local"
    #: It is made, kept here, and found in the registry beside the image.
    ATTACHED = "attached"
    #: Something is missing; ``error`` says what.
    FAILED = "failed"


@dataclass(frozen=True)
class Subject:
    """What a statement speaks of."""

    name: str
    #: ``sha256:…``.
    digest: str
    #: Whether the digest is the engine's id of a local image, because there is no registry that gave it another.
    is_local: bool = False


@dataclass(frozen=True, order=True)
class Lock:
    """A file in an image that says which versions were to be installed."""

    #: Without a leading slash.
    path: str
    #: Hexadecimal.
    sha256: str


@dataclass(frozen=True)
class Run:
    """What evidence wants to know of a build that succeeded."""

    id: int
    build_id: int
    attempt: int
    server_id: int
    server_name: str
    source: Source
    #: Commit or version that was built; empty if that is not known.
    revision: str
    local_image: str
    images: tuple[PlatformImage, ...]
    #: ``None``: it was not pushed.
    published: Published | None
    started_at: datetime
    completed_at: datetime
    #: What it was built upon, as the build named it; empty if nothing of ours.
    base_image: str
    #: Of the text that was built, in hexadecimal; empty if there was none.
    dockerfile_sha256: str
    #: The builder's name and abilities, as far as the build knows them.
    builder: str
    shortcomings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """One signed document of a run, as it is stored."""

    id: int
    run_id: int
    kind: Kind
    #: Empty: it speaks of all platforms.
    platform: str
    predicate_type: str
    subjects: tuple[Subject, ...]
    #: Of the bundle, ``sha256:…``.
    digest: str
    size_bytes: int
    #: Of the key that signed it.
    key_id: str
    #: Who looked: ``mcp-host`` or ``buildkit``.
    made_by: str
    created_at: datetime

    @property
    def file_name(self) -> str:
        """What the bundle is called as a file."""
        parts = (f"run-{self.run_id}", self.platform.replace("/", "-"), self.kind.value)
        return ".".join(part for part in parts if part) + ".sigstore.json"


@dataclass(frozen=True)
class NewDocument:
    """A document that is to be stored."""

    kind: Kind
    platform: str
    predicate_type: str
    subjects: tuple[Subject, ...]
    bundle: bytes
    key_id: str
    made_by: str


@dataclass(frozen=True)
class Referrer:
    """Where in the registry a document is found."""

    #: The manifest that it speaks of.
    subject: str
    #: The manifest that carries it.
    digest: str
    kind: Kind
    platform: str
    #: ``api``: the registry lists referrers itself; ``tag``: the index under ``sha256-…`` does.
    listed_by: str

    def as_json(self) -> dict[str, Any]:
        """Return it as it is stored and answered."""
        return {
            "subject": self.subject,
            "digest": self.digest,
            "kind": self.kind.value,
            "platform": self.platform,
            "listed_by": self.listed_by,
        }


@dataclass(frozen=True)
class EvidenceView:
    """The evidence of one run as people see it."""

    run_id: int
    state: State
    #: What is missing and why; empty otherwise.
    error: str
    documents: tuple[Document, ...]
    referrers: tuple[Referrer, ...]
    updated_at: datetime | None

    def places(self, document: Document) -> tuple[Referrer, ...]:
        """Return where in the registry a document is found."""
        return tuple(
            item
            for item in self.referrers
            if (item.kind, item.platform) == (document.kind, document.platform)
        )

    @property
    def issues(self) -> tuple[str, ...]:
        """What is wrong with the artifact as far as its evidence goes; empty when nothing is."""
        if self.state is State.FAILED:
            return (f"Evidence is missing: {self.error}",)
        return ()


@dataclass(frozen=True)
class PublicKey:
    """A key whose signatures can be checked."""

    #: The SHA-256 of its DER form, in hexadecimal.
    id: str
    pem: str
    created_at: datetime
    #: ``None``: it is the one that signs.
    retired_at: datetime | None
