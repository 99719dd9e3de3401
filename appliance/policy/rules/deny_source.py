"""Where servers must not come from. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from appliance.policy.findings import Effect, Finding
from appliance.policy.model import PolicyFacts
from appliance.policy.reading import Field, Fields, some, text
from appliance.policy.rules.base import Rule


@dataclass(frozen=True)
class DenySource(Rule):
    """Sources that match a pattern are neither built nor run."""

    kind = "deny-source"
    meaning = "Refuses sources that match a pattern, such as npm:@someone/*, https://github.com/someone/*, git:* or image:*."
    own_fields: ClassVar[Fields] = {
        "sources": Field(some(text)),
        "because": Field(text, default=""),
    }

    #: Of the origin, or of ``kind:origin``, with ``*`` and ``?``; in any case.
    sources: tuple[str, ...]
    because: str = ""

    def judge(self, facts: PolicyFacts) -> Iterator[Finding]:
        """Yield a refusal for the first pattern that matches."""
        request = facts.request
        texts = (request.source, f"{request.source_kind}:{request.source}")
        for pattern in self.sources:
            if any(fnmatchcase(text.lower(), pattern.lower()) for text in texts):
                why = f": {self.because}" if self.because else ""
                yield Finding(
                    note=f"source:denied:{pattern}",
                    effect=Effect.REFUSE,
                    told=f"the policy refuses sources that match {pattern}{why}",
                    action="Take it from another source, or have the policy changed.",
                )
                return
