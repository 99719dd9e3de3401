"""What was published, and what happened since, as values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Publication:
    """One manifest list that was published, or one manifest where there is one platform."""

    server_id: int
    deployment_id: int
    #: ``host/namespace/name``.
    repository: str
    tag: str
    digest: str
    #: Platform to the digest of its manifest.
    platforms: Mapping[str, str]
    published_at: datetime
    #: When it was deleted from the registry; ``None``: it is there.
    pruned_at: datetime | None = None

    @property
    def digests(self) -> frozenset[str]:
        """The list's digest and those that it names."""
        return frozenset({self.digest, *self.platforms.values()})


@dataclass(frozen=True)
class RegistryEvent:
    """One thing that happened to credentials or old manifests."""

    id: int
    at: datetime
    #: As in the push telemetry: ``auth_rotation_succeeded``.
    event: str
    #: Whose push it was; ``None``: the clock's, or a person's.
    server_id: int | None
    host: str
    details: Mapping[str, Any]
