"""What every kind of rule is. Pure.

A new kind is a file beside this one with one subclass, and its line in ``rules/__init__.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from appliance.core.tiers import matches
from appliance.policy.findings import Finding
from appliance.policy.model import PolicyFacts
from appliance.policy.reading import Field, Fields, some, tier_pattern

TIERS = Field(some(tier_pattern), default=("*",))


@dataclass(frozen=True)
class Rule:
    """One rule of a document, for tiers that its patterns name."""

    kind: ClassVar[str]
    #: One sentence for whoever writes documents.
    meaning: ClassVar[str]
    #: Its fields besides ``kind`` and ``tiers``.
    own_fields: ClassVar[Fields]
    #: Whether it looks at what was built, and so has nothing to say before that.
    judges_image: ClassVar[bool] = False
    #: What besides certifications has to be read for it.
    wants_promotions: ClassVar[bool] = False
    wants_evidence: ClassVar[bool] = False

    tiers: tuple[str, ...]

    def applies(self, facts: PolicyFacts) -> bool:
        """Tell whether it has something to say of these facts."""
        if self.judges_image and facts.request.image is None:
            return False
        return self.names(facts.tier)

    def names(self, tier: str) -> bool:
        """Tell whether it is a rule for this tier."""
        return any(matches(tier, pattern) for pattern in self.tiers)

    def judge(self, facts: PolicyFacts) -> Iterator[Finding]:  # noqa: ARG002 - for those that judge
        """Yield what it finds."""
        yield from ()

    def wanted_certifications(self) -> tuple[str, ...]:
        """Return the names of certifications that it wants to know of."""
        return ()

    def wanted_backend(self) -> str:
        """Return the backend that it prefers; empty: none."""
        return ""

    def wanted_capabilities(self) -> tuple[str, ...]:
        """Return what an executor must be able to do for it."""
        return ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as documents write it."""
        found: dict[str, Any] = {"kind": self.kind}
        for field in fields(self):
            value = getattr(self, field.name)
            found[field.name] = list(value) if isinstance(value, tuple) else value
        return {key: value for key, value in found.items() if value != ""}
