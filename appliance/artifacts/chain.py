"""The chain of hashes that shows whether a row of the ledger was changed, removed or put in between. Pure.

A run's hash is the SHA-256 of one JSON text in UTF-8: keys in order, no blanks, times as ``2026-11-21T09:30:00.000000Z``,
platforms in the order of their names, and the hash of the run before as ``prev_hash``.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import orjson

from appliance.artifacts.model import (
    Anchor,
    Artifact,
    ArtifactPlatform,
    ChainBreak,
    RunRecord,
)

#: Before the first run.
GENESIS = "0" * 64
#: More than so many breaks tell nothing more.
MAX_BREAKS = 20
_RUN_FIELDS = tuple(item.name for item in fields(RunRecord) if item.name != "platforms")
_PLATFORM_FIELDS = tuple(item.name for item in fields(ArtifactPlatform))


def canonical(run_id: int, prev_hash: str, run: RunRecord) -> bytes:
    """Return the text that is hashed."""
    values: dict[str, Any] = {name: getattr(run, name) for name in _RUN_FIELDS}
    values["started_at"] = _moment(run.started_at)
    values["completed_at"] = _moment(run.completed_at)
    values["platforms"] = [
        {name: getattr(item, name) for name in _PLATFORM_FIELDS}
        for item in sorted(run.platforms, key=lambda item: item.platform)
    ]
    values["id"] = run_id
    values["prev_hash"] = prev_hash
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


def row_hash(run_id: int, prev_hash: str, run: RunRecord) -> str:
    """Return the run's hash, in hex."""
    return hashlib.sha256(canonical(run_id, prev_hash, run)).hexdigest()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Link:
    """A row as the walk along the chain sees it."""

    run_id: int
    prev_hash: str
    row_hash: str
    #: Of what the row holds now.
    actual_hash: str


def link_of(artifact: Artifact) -> Link:
    """Return what is compared of a row."""
    actual = row_hash(artifact.id, artifact.prev_hash, artifact.run)
    return Link(artifact.id, artifact.prev_hash, artifact.row_hash, actual)


class Walk:
    """Goes along the chain from the first run and notes every place where it does not hold.

    Args:
        known: A place that somebody wrote down, which must be on the way.
    """

    def __init__(self, known: Anchor | None = None) -> None:
        """Start before the first run."""
        self.last_id = 0
        self.last_hash = GENESIS
        self.breaks: list[ChainBreak] = []
        self._known = known

    def over(self, links: Iterable[Link]) -> None:
        """Go on over ``links``, in the order of their ids."""
        for link in links:
            self._step(link)

    def _step(self, link: Link) -> None:
        if link.run_id != self.last_id + 1:
            self._missing(self.last_id + 1, link.run_id - 1)
        elif link.prev_hash != self.last_hash:
            self._note(
                link.run_id,
                "unlinked",
                f"Run {link.run_id} does not follow what is before it: one of the two was written anew.",
            )
        if link.actual_hash != link.row_hash:
            self._note(
                link.run_id,
                "changed",
                f"Run {link.run_id} or one of its platforms is not what was written.",
            )
        if (
            self._known
            and self._known.runs == link.run_id
            and self._known.head_hash != link.row_hash
        ):
            self._note(
                link.run_id,
                "unknown",
                f"Run {link.run_id} does not have the hash that was written down.",
            )
        self.last_id, self.last_hash = link.run_id, link.row_hash

    def end(self, runs: int, head_hash: str) -> None:
        """Compare the end with what the ledger says of it."""
        if self.last_id < runs:
            self._missing(self.last_id + 1, runs)
        elif self.last_hash != head_hash:
            self._note(
                self.last_id,
                "unlinked",
                f"Run {self.last_id} is not the one that the chain ended with.",
            )
        if self._known and self._known.runs > runs:
            self._note(
                runs,
                "missing",
                f"There are {runs} runs; run {self._known.runs} was written down.",
            )

    def _missing(self, first: int, last: int) -> None:
        which = f"Run {first} is" if first == last else f"Runs {first} to {last} are"
        self._note(first, "missing", f"{which} missing.")

    def _note(self, run_id: int, what: str, message: str) -> None:
        if len(self.breaks) < MAX_BREAKS:
            self.breaks.append(ChainBreak(run_id, what, message))
