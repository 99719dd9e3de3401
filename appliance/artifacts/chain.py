"""The chain of hashes that shows whether a row of the ledger was changed, removed or put in between. Pure.

A run's hash is the SHA-256 of one JSON text in UTF-8: keys in order, no blanks, times as ``2026-11-21T09:30:00.000000Z``,
platforms in the order of their names, and the hash of the run before as ``prev_hash``.
"""

import hashlib
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import orjson

from appliance.artifacts.model import Artifact, ArtifactPlatform, RunRecord
from appliance.core.chain import Link

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


def link_of(artifact: Artifact) -> Link:
    """Return what is compared of a row."""
    actual = row_hash(artifact.id, artifact.prev_hash, artifact.run)
    return Link(artifact.id, artifact.prev_hash, artifact.row_hash, actual)
