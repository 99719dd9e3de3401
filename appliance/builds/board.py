"""What every platform of a build is doing, kept for whoever watches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.builds.progress import PlainProgress
from appliance.core.clock import now
from appliance.core.images import Published

#: Steps of one platform that are kept.
MAX_STEPS = 60

WAITING = "waiting"
BUILDING = "building"
BUILT = "built"
PUSHING = "pushing"
DONE = "done"
FAILED = "failed"
CANCELLED = "cancelled"
_ENDED = frozenset({DONE, FAILED, CANCELLED})


@dataclass
class Row:
    """One platform."""

    platform: str
    state: str = WAITING
    #: Steps that are behind, of so many.
    step: int = 0
    steps: int = 0
    #: What runs now; empty between steps.
    current: str = ""
    #: When it began, was built and was over, as ISO 8601 says it.
    started_at: str | None = None
    built_at: str | None = None
    finished_at: str | None = None
    image_id: str = ""
    #: As the registry keeps it.
    digest: str = ""
    #: ``name``, ``state`` and ``seconds`` of each.
    log: list[dict[str, Any]] = field(default_factory=list)


class Board:
    """One row a platform. Every change is told to ``on_change``, which must not wait."""

    def __init__(self, platforms: Sequence[str]) -> None:
        """Begin with every platform waiting."""
        self._rows = {platform: Row(platform) for platform in platforms}
        self._is_news = True
        self.on_change: Callable[[], None] = lambda: None

    def take(self) -> list[dict[str, Any]] | None:
        """Return the rows if they changed since this was asked last, else ``None``."""
        if not self._is_news:
            return None
        self._is_news = False
        return self.rows()

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as they are stored."""
        return [dict(vars(row)) for row in self._rows.values()]

    def building(self, platform: str) -> None:
        """It is its turn."""
        row = self._rows[platform]
        row.state, row.started_at = BUILDING, _moment()
        self._changed()

    def progressed(self, platform: str, progress: PlainProgress) -> None:
        """Its builder said something."""
        row, steps = self._rows[platform], progress.steps
        running = [step for step in steps if step.state == "running"]
        told = [
            {"name": step.name, "state": step.state, "seconds": step.seconds}
            for step in steps[:MAX_STEPS]
        ]
        if told != row.log or row.steps != progress.total:
            row.log, row.steps = told, progress.total
            row.step = len(steps) - len(running)
            row.current = running[-1].name if running else ""
            self._changed()

    def built(self, platform: str, image_id: str) -> None:
        """Its image is here."""
        row = self._rows[platform]
        row.state, row.image_id, row.built_at = BUILT, image_id, _moment()
        row.current, row.step = "", row.steps
        self._changed()

    def pushing(self) -> None:
        """All that were built are being pushed."""
        self._all(BUILT, PUSHING)

    def done(self, published: Published | None) -> None:
        """The build is over and well."""
        digests = published.platforms if published else ()
        for pushed in digests:
            if pushed.platform in self._rows:
                self._rows[pushed.platform].digest = pushed.digest
        for row in self._rows.values():
            row.state, row.finished_at, row.current = DONE, _moment(), ""
        self._changed()

    def failed(self, platform: str) -> None:
        """Its build failed; the others end with it."""
        row = self._rows[platform]
        row.state, row.finished_at = FAILED, _moment()
        self._changed()

    def ended(self, state: str) -> None:
        """The build is over otherwise: what was under way ends in ``state``, or was ended by the platform that failed."""
        has_culprit = any(row.state == FAILED for row in self._rows.values())
        for row in self._rows.values():
            if row.state not in _ENDED:
                is_own = row.started_at is not None and not has_culprit
                row.state = state if is_own else CANCELLED
                row.finished_at, row.current = _moment(), ""
        self._changed()

    def _all(self, before: str, after: str) -> None:
        for row in self._rows.values():
            if row.state == before:
                row.state = after
        self._changed()

    def _changed(self) -> None:
        self._is_news = True
        self.on_change()


def _moment() -> str:
    return now().isoformat(timespec="milliseconds")
