"""By what servers are run if that is possible. Pure."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.policy.reading import Field, Fields, name
from appliance.policy.rules.base import Rule


@dataclass(frozen=True)
class PreferBackend(Rule):
    """Another backend than the one asked for, where it can do what the server needs."""

    kind = "prefer-backend"
    meaning = "Runs by the backend named where that one can; otherwise by another, with a note."
    own_fields: ClassVar[Fields] = {"backend": Field(name)}

    backend: str

    def wanted_backend(self) -> str:
        """Return the backend."""
        return self.backend
