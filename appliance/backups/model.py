"""What a backup is. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

#: The event that pages follow.
CHANGED = "backup.changed"


class BackupState(StrEnum):
    """Where a backup is in its life."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: It was made, and its file is no longer at the target.
    DELETED = "deleted"


class ImageWay(StrEnum):
    """How a server's image comes to a box on which the backup is brought back."""

    #: It lies in the backup.
    INCLUDED = "included"
    #: It is pulled from its registry by digest; where that fails, it is built anew.
    PULLED = "pulled"
    #: It is built anew from the same source and version.
    BUILT = "built"
    #: Nothing runs here: it is remote, or was never built.
    NONE = "none"


class Moment(StrEnum):
    """Of which moment the copy of a server's ``/data`` is."""

    #: Nothing wrote to it meanwhile: its server did not run.
    STILL = "still"
    #: Its file system was frozen while it was copied.
    FROZEN = "frozen"
    #: It was frozen, and thawed before the copy was whole, because that took too long.
    THAWED = "thawed"
    #: It was copied while its server ran; a file that changed meanwhile may be half old, half new.
    RUNNING = "running"


@dataclass(frozen=True)
class Part:
    """One sealed piece of a backup."""

    #: Path in the archive.
    file: str
    #: In words, such as ``database``.
    what: str
    #: As it lies in the archive, sealed.
    size_bytes: int
    sha256: str
    #: What was sealed, in bytes.
    plain_bytes: int


@dataclass(frozen=True)
class KeptImage:
    """An image that deployments run."""

    #: Its id, as the deployments name it.
    image: str
    #: Names of ours that hold it on the engine.
    tags: tuple[str, ...]
    #: Where registries have it, by digest.
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeptServer:
    """What a backup holds of one server."""

    id: int
    name: str
    #: Whether it should run.
    is_wanted: bool
    way: ImageWay
    image: KeptImage | None = None
    #: Of its ``/data``; ``None``: it has none.
    moment: Moment | None = None
    #: Size of the file system that is its ``/data``; ``None``: a directory.
    disk_bytes: int | None = None


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself, readable without the passphrase. Nothing in it is secret."""

    format: int
    version: str
    #: Number of the newest migration of the database in it.
    schema: int
    installation: str
    created_at: datetime
    postgres: int
    parts: tuple[Part, ...]
    servers: tuple[KeptServer, ...]
    images: tuple[KeptImage, ...] = ()

    @property
    def size_bytes(self) -> int:
        """What the parts take together."""
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True)
class Backup:
    """One backup as its row says."""

    id: int
    name: str
    target: str
    state: BackupState
    is_scheduled: bool
    requested_by: str
    started_at: datetime
    finished_at: datetime | None
    #: When it was last read back, opened and found whole.
    verified_at: datetime | None
    size_bytes: int
    #: ``step``, ``number``, ``of``, ``bytes``: how far it is.
    progress: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    #: Parts, servers and what is to be known of them, without the parts' hashes.
    summary: dict[str, Any] = field(default_factory=dict)
    cancel_requested: bool = False
