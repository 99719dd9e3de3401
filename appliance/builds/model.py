"""What is built, and what came of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

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


@dataclass(frozen=True)
class BuildRequest:
    """One build: one per deployment, however often it is tried."""

    deployment_id: int
    server_id: int
    server_name: str
    source: Source


@dataclass(frozen=True)
class BuiltImage:
    """What an instance is made of.

    ``resolved`` tells what was really taken: ``version`` of a package, ``revision`` of
    a repository, ``digest`` of an image, ``entry`` (the program that starts), and
    ``transport`` and ``port`` where the image or the sources give them away.
    """

    #: Reference to run, by image id or digest, so that a moved tag changes nothing.
    image: str
    resolved: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildLine:
    """One line of a build's log, numbered from 1."""

    number: int
    text: str


#: Told when a build goes from one stage to the next.
StageListener = Callable[[Stage], Awaitable[None]]


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
    #: Why it failed, with what to do; empty otherwise.
    error: str
    started_at: datetime
    finished_at: datetime | None
