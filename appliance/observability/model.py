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
