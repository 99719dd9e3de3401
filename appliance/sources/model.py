"""The four kinds of source."""

from dataclasses import dataclass
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
    kind = "git"


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


Source = PackageSource | GitSource | ImageSource | RemoteSource
