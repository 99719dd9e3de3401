"""One attempt at one build, and what comes of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from appliance.builds.board import Board
from appliance.builds.model import BuildRequest, BuiltImage, Lock, StageListener
from appliance.core.images import PlatformImage


@dataclass
class Findings:
    """What is known of a build before it is over, for the ledger if it fails."""

    #: Commit or version; empty until it is known.
    revision: str = ""
    images: tuple[PlatformImage, ...] = ()


@dataclass(frozen=True)
class Job:
    """One attempt at one build."""

    request: BuildRequest
    #: Platform to the name that its image gets; the box's own first.
    tags: dict[str, str]
    #: Carried by every program of this build.
    mark: str
    #: Names the build through all its attempts, and no other build of any installation.
    build_name: str
    #: Takes a line for the log.
    say: Callable[[str], None]
    #: Shows what every platform is doing.
    board: Board
    on_stage: StageListener
    #: What the server's last good build of a package took.
    kept: Lock | None
    #: Told of the Dockerfile and the base image before they are built.
    on_recipe: Callable[[str, str | None], Awaitable[None]]
    findings: Findings = field(default_factory=Findings)

    @property
    def platforms(self) -> tuple[str, ...]:
        """What is built, the box's own first."""
        return tuple(self.tags)

    @property
    def native(self) -> str:
        """The box's own platform, whose image runs here."""
        return self.platforms[0]

    @property
    def tag(self) -> str:
        """The name of the image that runs here."""
        return self.tags[self.native]


@dataclass(frozen=True)
class Made:
    """An image, and the name that holds it (``None``: nothing of ours is held)."""

    image: BuiltImage
    tag: str | None
    #: One for each platform; empty where nothing was built.
    images: tuple[PlatformImage, ...] = ()
    #: The lock that an installer wrote; empty: none.
    lock_text: str = ""
