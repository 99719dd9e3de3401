"""What an executor must be able to do. Pure."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.policy.reading import Field, Fields, name, some
from appliance.policy.rules.base import Rule


@dataclass(frozen=True)
class RequireCapability(Rule):
    """Servers run only where an executor can do all of it."""

    kind = "require-capability"
    meaning = "Runs only by an executor that has all capabilities named, such as gpu, volumes or logs."
    own_fields: ClassVar[Fields] = {"capabilities": Field(some(name))}

    capabilities: tuple[str, ...]

    def wanted_capabilities(self) -> tuple[str, ...]:
        """Return them."""
        return self.capabilities
