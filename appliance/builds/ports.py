"""What a build needs of rooms that it does not know; ``bootstrap`` fills them in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from appliance.builds.model import BuildState
from appliance.core.images import PlatformImage, Published
from appliance.sources.model import Source


@dataclass(frozen=True)
class PublishRequest:
    """Images to push: one for each platform, all of one build."""

    server_id: int
    server_name: str
    deployment_id: int
    images: tuple[PlatformImage, ...]


class Publisher(Protocol):
    """Pushes images to the registry."""

    @property
    def is_configured(self) -> bool:
        """Whether there is a registry; without one, images stay on this box."""
        ...

    async def publish(
        self, request: PublishRequest, say: Callable[[str], None]
    ) -> Published:
        """Push every image by digest, put the manifest list together under the tag, and verify it.

        Done again it pushes only what is not there, and comes to the same digests. Cancelling the task ends it.

        Args:
            say: Takes lines for the build's log.

        Raises:
            DomainError: It could not be pushed; says what failed and what to do.
        """
        ...


@dataclass(frozen=True)
class FinishedRun:
    """A build that is over, however it ended."""

    build_id: int
    #: Which attempt at the build this was, from 1; each that ends is a row of its own.
    attempt: int
    deployment_id: int
    server_id: int
    server_name: str
    source: Source
    status: BuildState
    #: Why it failed; empty otherwise.
    error: str
    #: Commit or version that was built; empty if that was never known.
    revision: str
    #: The tag of the image that runs on this box; empty if there is none.
    local_image: str
    images: tuple[PlatformImage, ...]
    #: ``None``: it was not pushed.
    published: Published | None
    started_at: datetime
    completed_at: datetime
    #: What this box's builder could not do, in words: attestations, several platforms at once.
    shortcomings: tuple[str, ...] = ()


class Ledger(Protocol):
    """Keeps a row of every build."""

    def record(self, run: FinishedRun) -> int:
        """Write the run's row inside the caller's transaction, once for each attempt at a build, and return its id."""
        ...


class Meter(Protocol):
    """Counts what builds take of their owner's quota; every method runs inside the caller's transaction."""

    def begin(self, owner: int, build_id: int, attempt: int, at: datetime) -> str:
        """Write that an attempt has its turn, and return a warning for its log; empty: there is none.

        Raises:
            DomainError: The owner's quota is used up; says how much is, and what to do.
        """
        ...

    def end(self, build_id: int, attempt: int, at: datetime) -> None:
        """Write that an attempt is over; nothing if it never had its turn."""
        ...
