"""Certifications that a digest must have before it runs. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from appliance.policy.findings import Effect, Finding
from appliance.policy.model import CertificationFact, PolicyFacts
from appliance.policy.reading import Field, Fields, name, one_of, some
from appliance.policy.rules.base import Rule

KEEP, STOP = "keep", "stop"
#: What is no longer so, and not merely not so yet.
_LOST = {"expired", "failed"}


@dataclass(frozen=True)
class RequireCertification(Rule):
    """A launch needs an active pass of each requirement."""

    kind = "require-certification"
    meaning = "Runs only with an active pass of every requirement named."
    judges_image = True
    own_fields: ClassVar[Fields] = {
        "requirements": Field(some(name)),
        "on_expiry": Field(one_of(KEEP, STOP), default=KEEP),
    }

    requirements: tuple[str, ...]
    #: What becomes of what runs when a pass expires or is taken back.
    on_expiry: str = KEEP

    def wanted_certifications(self) -> tuple[str, ...]:
        """Return the requirements."""
        return self.requirements

    def judge(self, facts: PolicyFacts) -> Iterator[Finding]:
        """Yield one finding a requirement."""
        known = {item.requirement: item for item in facts.certifications}
        for requirement in self.requirements:
            found = known.get(requirement) or CertificationFact(requirement, "missing")
            yield self._finding(facts, found)

    def _finding(self, facts: PolicyFacts, found: CertificationFact) -> Finding:
        where = f"{facts.tier}:{found.requirement}"
        if found.standing == "active":
            return Finding(f"evaluation:certified:{where}")
        # Notes know no "not yet": a pass that is not valid yet is waited for like one that is pending.
        word = "pending" if found.standing == "not-yet" else found.standing
        return Finding(
            note=f"evaluation:{word}:{where}",
            effect=Effect.EVALUATE,
            told=_told(facts, found),
            action=_action(facts, found),
            ends_running=self.on_expiry == STOP and found.standing in _LOST,
        )


def _told(facts: PolicyFacts, found: CertificationFact) -> str:
    what = f"the certification {found.requirement} of {facts.tier}"
    match found.standing:
        case "expired":
            until = found.valid_until
            day = f" on {until:%Y-%m-%d %H:%M} UTC" if until else ""
            return f"{what} expired{day}"
        case "failed":
            return f"{what} was refused"
        case "pending":
            return f"{what} is still pending"
        case "not-yet":
            return f"{what} is not valid yet"
        case _:
            return f"{what} is missing"


def _action(facts: PolicyFacts, found: CertificationFact) -> str:
    artifact = facts.artifact
    where = f"artifact {artifact.run_id}" if artifact else f"{facts.digest or 'it'}"
    match found.standing:
        case "failed":
            return (
                f"Look at what {found.requirement} found at {where}, mend the server and redeploy it,"
                " or have it evaluated again."
            )
        case "not-yet":
            return f"Wait until {found.requirement} of {where} is valid."
        case "pending":
            return f"Finish the evaluation of {found.requirement} for {where}."
        case "expired":
            return f"Have {found.requirement} evaluated again for {where}."
        case _:
            return f"Have {found.requirement} evaluated for {where}, or record a pass."
