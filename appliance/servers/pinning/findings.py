"""What a scan finds in a definition. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding says."""

    #: Hardly ever there for a good reason.
    HIGH = "high"
    #: Worth a look.
    MEDIUM = "medium"
    #: Good to know.
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Finding:
    """Something in a definition that a reader of it would not expect, or not see."""

    severity: Severity
    #: Which rule; stable.
    rule: str
    #: Where in the definition, such as ``inputSchema.properties.path.description``.
    place: str
    message: str
    #: The text around it, with what nobody sees written out.
    text: str


def worst(findings: "tuple[Finding, ...] | list[Finding]") -> Severity | None:
    """Return the highest severity; ``None``: nothing was found."""
    return min((item.severity for item in findings), key=lambda found: found.rank, default=None)  # fmt: skip
