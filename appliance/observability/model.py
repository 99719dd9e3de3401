"""What is observed, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that a page may show live."""

    #: Grows in the order of commits, so whoever remembers the last one misses nothing.
    id: int
    at: datetime
    #: ``server.status``, ``build.log``, ``job.state``, …; ``events.reset``: look again.
    kind: str
    #: Who may see the event follows from its server; ``None``: everybody.
    server_id: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class UsageMetric:
    """One thing that a server did or that was done to it."""

    id: int
    server_id: int
    #: ``start``, ``stop``, ``delete``, ``restart``, …: the names are fixed.
    event_type: str
    details: Mapping[str, Any]
    created_at: datetime


class Outcome(StrEnum):
    """What became of an attempt."""

    ALLOWED = "allowed"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True)
class AuditEvent:
    """One write, or one attempt at it."""

    id: int
    at: datetime
    #: ``None``: the system, or somebody who is not signed in.
    actor_id: int | None
    #: The e-mail at that time, or ``system``.
    actor: str
    #: ``server.create``
    action: str
    object_type: str
    object_id: int | None
    object_name: str
    outcome: Outcome
    request_id: str
    address: str
    details: Mapping[str, Any]
    #: ``session``, ``api_key``, ``token``, ``system``; ``none``: nobody known; empty: a line of before this was kept.
    via: str = ""
    #: Of the session, the key or the grant.
    credential_id: int | None = None
    #: Why, in the words of who did it.
    reason: str = ""
    #: What changed, as it was and as it is; ``None``: nothing to compare.
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    #: Its place in the chain, from 1; ``None``: not chained yet.
    seq: int | None = None
    prev_hash: str | None = None
    row_hash: str | None = None


@dataclass(frozen=True)
class AuditFilter:
    """Which lines of the trail; what is ``None`` does not narrow."""

    actor: str | None = None
    #: The whole action, or its first part (``server``).
    action: str | None = None
    object_type: str | None = None
    object_id: int | None = None
    outcome: Outcome | None = None
    #: From this moment on.
    since: datetime | None = None
    #: Up to this moment, which is not among them.
    until: datetime | None = None
    #: Part of any of its texts, in any case.
    text: str | None = None
