"""What every kind of service says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from appliance.integrations.model import Variables

Settings = Mapping[str, Any]
Secrets = Mapping[str, str]


@dataclass(frozen=True)
class Destination:
    """Where a service listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as an allow-list writes it."""
        return f"{self.host.lower()}:{self.port}"


class Kind(Protocol):
    """One kind of service."""

    def settings(self, given: Settings) -> dict[str, Any]:
        """Return what is given, with a default wherever nothing is."""
        ...

    def problems(self, settings: Settings, secrets: Secrets) -> dict[str, str]:
        """Return what is wrong, by field."""
        ...

    def variables(self, settings: Settings, secrets: Secrets) -> Variables:
        """Return what the server finds in its environment, without a prefix."""
        ...

    def kept(self, settings: Settings) -> Mapping[str, str]:
        """Return by which variable each secret field is kept, without a prefix."""
        ...

    def destinations(self, settings: Settings) -> tuple[Destination, ...]:
        """Return where the server must be able to go."""
        ...
