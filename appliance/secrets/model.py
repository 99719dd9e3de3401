"""What a secret is, without its value."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_VALUE_BYTES = 64 * 1024
#: Of one server; both reach a program's environment, which has an end.
MAX_SECRETS = 100
MAX_TOGETHER_BYTES = 512 * 1024


class Delivery(StrEnum):
    """How a value reaches its server."""

    #: In the environment, as NAME and CFG_NAME, and as the file that it is read from.
    ENV = "env"
    #: As a file alone.
    FILE = "file"


class Keeper(StrEnum):
    """Who keeps a value."""

    #: Postgres, sealed.
    LOCAL = "local"
    VAULT = "vault"


@dataclass(frozen=True)
class Secret:
    """One secret of a server."""

    id: int
    server_id: int
    name: str
    #: 1, 2, 3 …; of the newest value.
    version: int
    delivery: Delivery
    keeper: Keeper
    #: Who looks after it, such as ``service:12``; empty: people.
    managed_by: str
    created_by: str
    created_at: datetime
    updated_by: str
    updated_at: datetime


@dataclass(frozen=True)
class SecretVersion:
    """One value that a secret had."""

    version: int
    keeper: Keeper
    set_by: str
    set_at: datetime
    #: When another took its place, or the secret was removed.
    ended_at: datetime | None


@dataclass(frozen=True)
class VaultPlace:
    """Where in Vault a value is."""

    path: str
    version: int


@dataclass(frozen=True)
class MasterKeyState:
    """How the sealing of values stands."""

    #: Of the key that new values are sealed under.
    current: str
    #: Of those that values are still sealed under, with how many.
    in_use: dict[str, int]
    #: In use, and not in the key file.
    missing: tuple[str, ...]

    @property
    def waiting(self) -> int:
        """Return how many values are still sealed under an older key."""
        return sum(
            count for key_id, count in self.in_use.items() if key_id != self.current
        )
