"""The five kinds of source."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Ecosystem(StrEnum):
    """A package registry's family."""

    NPM = "npm"
    PYPI = "pypi"


@dataclass(frozen=True)
class PackageSource:
    """A published package."""

    ecosystem: Ecosystem
    name: str
    #: ``None``: the newest at the time of the build.
    version: str | None = None
    #: What it needs is taken as it was at the end of this day, UTC; ``None``: as it is now.
    as_of: date | None = None
    kind = "package"


@dataclass(frozen=True)
class GitSource:
    """A git repository."""

    url: str
    #: ``None``: the repository's default branch.
    branch: str | None = None
    #: Directory inside the repository, without leading or trailing slash; empty: its
    #: root.
    subdirectory: str = ""
    #: Whether the repositories that it names are fetched, too.
    submodules: bool = False
    #: Whether the large files that it points to are fetched, too.
    lfs: bool = False
    kind = "git"


@dataclass(frozen=True)
class ArchiveSource:
    """An uploaded tar.gz or zip."""

    #: ``sha256:`` and 64 hex digits.
    digest: str
    #: As its owner called it; only to be shown.
    filename: str = "archive"
    #: As with ``GitSource``.
    subdirectory: str = ""
    kind = "archive"


@dataclass(frozen=True)
class ImageSource:
    """A ready image."""

    reference: str
    kind = "image"


@dataclass(frozen=True)
class RemoteSource:
    """A server that somebody else runs."""

    url: str
    kind = "remote"


Source = PackageSource | GitSource | ArchiveSource | ImageSource | RemoteSource
