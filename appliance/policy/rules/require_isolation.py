"""How far apart servers must be kept. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from appliance.policy.findings import Effect, Finding
from appliance.policy.model import PolicyFacts
from appliance.policy.reading import Field, Fields, one_of
from appliance.policy.rules.base import Rule

#: From the weakest.
ORDER = ("standard", "sandboxed", "vm")


@dataclass(frozen=True)
class RequireIsolation(Rule):
    """A server must be kept apart at least so far."""

    kind = "require-isolation"
    meaning = "Runs only if the server is configured for the isolation named, or a stricter one."
    own_fields: ClassVar[Fields] = {"isolation": Field(one_of(*ORDER))}

    isolation: str

    def judge(self, facts: PolicyFacts) -> Iterator[Finding]:
        """Yield whether it is; a server that somebody else runs is not ours to keep apart."""
        request = facts.request
        if request.source_kind == "remote":
            return
        if ORDER.index(request.isolation) >= ORDER.index(self.isolation):
            yield Finding(f"isolation:sufficient:{request.isolation}")
            return
        yield Finding(
            note=f"isolation:insufficient:{request.isolation}:{self.isolation}",
            effect=Effect.REFUSE,
            told=f"the policy asks for the isolation {self.isolation}, and it is configured for {request.isolation}",
            action=f"Set the server's isolation tier to {self.isolation}.",
        )
