"""What is built, and what came of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from appliance.core.digests import digest_of
from appliance.sources.model import Source


class BuildState(StrEnum):
    """Where a build is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """What a build is doing; the server's status shows it."""

    CLONING = "cloning"
    BUILDING = "building"
    PUSHING = "pushing"


@dataclass(frozen=True)
class BuildRequest:
    """One build: one per deployment, however often it is tried."""

    deployment_id: int
    server_id: int
    server_name: str
    source: Source
    #: The deployment whose lock is kept while the package's version is the same.
    like: int | None = None
    #: Who owns the server: a person, or an organisation below zero. Builds take turns between owners and share no cache.
    owner_id: int = 0
    #: The log's first line; empty: none.
    note: str = ""
    #: Written for this server, instead of the generated one or the repository's own; empty: none.
    dockerfile: str = ""
    #: Which of several programs of a repository is started; empty: the only one.
    entry: str = ""


@dataclass(frozen=True)
class Lock:
    """All that a build of a package took, by version and hash."""

    #: ``requirements.txt`` or ``package-lock.json``.
    filename: str
    text: str
    #: As people write it, without a version: ``pypi:mcp-server-time``.
    package: str
    version: str
    #: The day as of which it was resolved; ``None``: as of its making.
    as_of: date | None
    #: Nothing in it was published later.
    newest: datetime

    @property
    def digest(self) -> str:
        """``sha256:`` and the hash of its text."""
        return digest_of(self.text.encode())


@dataclass(frozen=True)
class BuiltImage:
    """What an instance is made of.

    ``resolved`` tells what was really taken: ``version`` of a package, ``revision`` of
    a repository, ``digest`` of an image, ``entry`` (the program that starts), and
    ``transport`` and ``port`` where the image or the sources give them away. Of a package also ``released``
    (when its version was published), ``lock`` (digest), ``as_of`` (the day as of which it was resolved), and ``kept``
    where the lock of an earlier build was taken.
    """

    #: Reference to run, by image id or digest, so that a moved tag changes nothing.
    image: str
    resolved: dict[str, Any] = field(default_factory=dict)
    #: All that was taken of a package; only right after it was built.
    lock: Lock | None = None


@dataclass(frozen=True)
class BuildLine:
    """One line of a build's log, numbered from 1."""

    number: int
    text: str


#: Told when a build goes from one stage to the next.
StageListener = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class StepProgress:
    """One instruction of a Dockerfile, as far as it is."""

    name: str
    #: ``running``, ``done``, ``cached`` or ``failed``.
    state: str
    seconds: float | None = None


@dataclass(frozen=True)
class PlatformProgress:
    """One platform of a build, as far as it is."""

    platform: str
    #: ``waiting``, ``building``, ``built``, ``pushing``, ``done``, ``failed`` or ``cancelled``.
    state: str
    #: Steps that are behind, and steps known of.
    step: int
    steps: int
    #: What runs now; empty between steps.
    current: str
    started_at: datetime | None
    #: When the image was there.
    built_at: datetime | None
    finished_at: datetime | None
    image_id: str
    #: As the registry keeps it; empty if it was not pushed.
    digest: str
    log: tuple[StepProgress, ...] = ()


@dataclass(frozen=True)
class BuildView:
    """One build as it is stored."""

    id: int
    deployment_id: int
    server_id: int
    state: BuildState
    #: 1, or more when the hub stopped in the middle and began again.
    attempt: int
    #: The tag that holds the image, and the image's id, which is what instances run.
    #: ``None`` until the build succeeded, and for remote servers, which have none.
    image: str | None
    image_digest: str | None
    base_image: str | None
    dockerfile: str
    resolved: dict[str, Any]
    #: The box's own platform first; empty until the build has its turn, and where nothing is built.
    platforms: tuple[PlatformProgress, ...]
    #: Why it failed, with what to do; empty otherwise.
    error: str
    started_at: datetime
    finished_at: datetime | None
