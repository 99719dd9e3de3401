"""Which signed documents an artifact must have. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from appliance.policy.findings import Effect, Finding
from appliance.policy.model import PolicyFacts
from appliance.policy.reading import Field, Fields, one_of, some
from appliance.policy.rules.base import Rule

KINDS = ("sbom", "provenance")


@dataclass(frozen=True)
class RequireEvidence(Rule):
    """Evidence is made after the build, so its absence holds and does not refuse."""

    kind = "require-evidence"
    meaning = "Runs only when the signed documents named (sbom, provenance) were made of its artifact."
    judges_image = True
    wants_evidence = True
    own_fields: ClassVar[Fields] = {"documents": Field(some(one_of(*KINDS)))}

    documents: tuple[str, ...]

    def judge(self, facts: PolicyFacts) -> Iterator[Finding]:
        """Yield one finding a document."""
        if facts.request.source_kind == "remote":
            return
        run = facts.artifact
        for kind in self.documents:
            if run and kind in run.evidence:
                yield Finding(f"evidence:present:{kind}")
                continue
            where = f"artifact {run.run_id}" if run else "it"
            yield Finding(
                note=f"evidence:missing:{kind}",
                effect=Effect.EVALUATE,
                told=f"there is no {kind} of it yet",
                action=f"Wait for the {kind} of {where}, or have its evidence made again.",
            )
