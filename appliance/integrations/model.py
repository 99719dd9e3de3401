"""A service that a server uses, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ServiceKind(StrEnum):
    """What a service speaks."""

    REDIS = "redis"
    POSTGRES = "postgres"
    #: Anything that speaks the protocol of Amazon S3.
    S3 = "s3"
    #: Variables under names of one's own.
    CUSTOM = "custom"


@dataclass(frozen=True)
class Variables:
    """What a server finds in its environment."""

    #: The engine shows these to whoever may ask it.
    plain: Mapping[str, str] = field(default_factory=dict)
    #: These are delivered as secrets.
    secret: Mapping[str, str] = field(default_factory=dict)

    def prefixed(self, prefix: str) -> "Variables":
        """Return the same with a prefix before every name."""
        return Variables(
            {prefix + name: value for name, value in self.plain.items()},
            {prefix + name: value for name, value in self.secret.items()},
        )


@dataclass(frozen=True)
class Wanted:
    """A service as somebody describes it."""

    kind: ServiceKind
    #: What people call it.
    name: str
    #: Stands before the name of every variable, so that a server can use two of a kind.
    prefix: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: By field; one that is left out of a change stays as it was.
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of a test."""

    is_ok: bool
    #: What answered, or why nothing did and what to do.
    detail: str
    duration_ms: float
    at: datetime


@dataclass(frozen=True)
class Service:
    """A service of a server."""

    id: int
    server_id: int
    kind: ServiceKind
    name: str
    prefix: str
    settings: Mapping[str, Any]
    #: Variables that are no secret.
    plain: Mapping[str, str]
    secret_names: tuple[str, ...]
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime
    tested: Outcome | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all its variables."""
        return tuple(sorted({*self.plain, *self.secret_names}))

    @property
    def manager(self) -> str:
        """What its secrets say of who looks after them."""
        return f"service:{self.id}"


@dataclass(frozen=True)
class Target:
    """The server whose services somebody may see or change."""

    server_id: int
    server_name: str
    #: Names that its own configuration sets.
    environment: frozenset[str] = frozenset()
    is_remote: bool = False
